import { generateSigningKey, type SigningAlgorithm } from '@countersign/tokens'
import type { Actor } from '../audit/event.ts'
import type { AuditLog } from '../audit/log.ts'
import { type MadeChange, recordIfChanged } from '../audit/record-if-changed.ts'
import { Problem } from '../http/problem.ts'
import { insertRevocation } from '../revocation/insert-revocation.ts'
import type { MasterKey } from '../sealing/master-key.ts'
import { announce } from '../storage/change-feed.ts'
import type { Store, StoreTransaction } from '../storage/store.ts'
import type { SigningKeyRow } from '../storage/tables.ts'

export const signingAlgorithms: readonly SigningAlgorithm[] = ['ES256', 'RS256', 'EdDSA']

/** No access token lives longer, so a retired key may go this long (and a margin) after its last signature. */
export const longestTokenLifetimeSeconds = 86_400
const retirementSeconds = longestTokenLifetimeSeconds + 3600

/**
 * Of one algorithm. All of them are published, and a verifier reads no set of more than a hundred keys or 64 KiB:
 * beyond that every token of every client would be refused.
 */
export const mostRetiredKeys = 30

export interface LifecycleContext {
  store: Store
  masterKey: MasterKey
  audit: AuditLog
  /** Seconds since the epoch */
  now: () => number
  /** How long a key signs */
  rotationSeconds: number
  /** How long before it signs the next one is published */
  publishAheadSeconds: number
}

/** Sees to it that there is a key which signs with this algorithm. */
export async function ensureSigningKey(algorithm: SigningAlgorithm, context: LifecycleContext): Promise<void> {
  if (await activeKey(context.store.database, algorithm)) return
  const generated = await generateSigningKey(algorithm)
  await changeKeys(context, async (transaction) => {
    if (await activeKey(transaction, algorithm)) return
    await insertKey(transaction, generated, 'active', context)
    return { type: 'signing_key.created', target: generated.kid }
  })
}

/**
 * Lets the next key sign from now on (a fresh one where none was published ahead) and retires the present one, which
 * stays published while its tokens live.
 * @throws Problem `too_many_keys`
 */
export async function rotateSigningKey(
  algorithm: SigningAlgorithm,
  context: LifecycleContext,
  actor: Actor = {},
): Promise<string> {
  const spare = await generateSigningKey(algorithm)
  let kid = spare.kid
  await changeKeys(context, async (transaction) => {
    await refuseAnotherRetired(transaction, algorithm)
    const next = await keyWithStatus(transaction, algorithm, 'next')
    await retireActive(transaction, algorithm, context)
    kid = await activate(transaction, next, spare, context)
    return { ...actor, type: 'signing_key.rotated', target: kid }
  })
  return kid
}

async function refuseAnotherRetired(transaction: StoreTransaction, algorithm: SigningAlgorithm): Promise<void> {
  const { retired } = await transaction
    .selectFrom('signing_keys')
    .select((row) => row.fn.countAll<number>().as('retired'))
    .where('algorithm', '=', algorithm)
    .where('status', '=', 'retired')
    .executeTakeFirstOrThrow()
  if (Number(retired) < mostRetiredKeys) return
  throw new Problem(
    409,
    'too_many_keys',
    `${mostRetiredKeys} retired ${algorithm} keys are published already: wait until their tokens have expired, or revoke one`,
  )
}

/**
 * Withdraws a key at once: it leaves the published set, goes on the revocation feed, and every token it signed dies.
 * @returns false when there is no such key
 */
export async function revokeSigningKey(kid: string, context: LifecycleContext, actor: Actor = {}): Promise<boolean> {
  const row = await context.store.database
    .selectFrom('signing_keys')
    .selectAll()
    .where('kid', '=', kid)
    .executeTakeFirst()
  if (!row || row.status === 'revoked') return false
  const algorithm = row.algorithm as SigningAlgorithm
  const spare = await generateSigningKey(algorithm)
  return changeKeys(context, async (transaction) => {
    const current = await transaction.selectFrom('signing_keys').selectAll().where('kid', '=', kid).executeTakeFirst()
    if (!current || current.status === 'revoked') return
    await withdrawKey(transaction, kid, context)
    if (current.status === 'active') {
      await activate(transaction, await keyWithStatus(transaction, algorithm, 'next'), spare, context)
    }
    return { ...actor, type: 'signing_key.revoked', target: kid }
  })
}

/** What is due now: publishing a next key, rotating, forgetting. Any replica may do it; doing it twice does nothing. */
export async function tendSigningKeys(context: LifecycleContext): Promise<void> {
  const { database } = context.store
  const now = context.now()
  for (const algorithm of signingAlgorithms) {
    const active = await activeKey(database, algorithm)
    if (!active) continue
    const age = now - (active.activated_at ?? active.created_at)
    const next = await keyWithStatus(database, algorithm, 'next')
    if (age >= context.rotationSeconds - context.publishAheadSeconds && !next) await publishNext(algorithm, context)
    else if (age >= context.rotationSeconds && next && now - next.created_at >= context.publishAheadSeconds) {
      await rotateIfStillActive(active, context)
    }
  }
  await forgetRetired(context)
}

async function publishNext(algorithm: SigningAlgorithm, context: LifecycleContext): Promise<void> {
  const generated = await generateSigningKey(algorithm)
  await changeKeys(context, async (transaction) => {
    if (await keyWithStatus(transaction, algorithm, 'next')) return
    await insertKey(transaction, generated, 'next', context)
    return { type: 'signing_key.published', target: generated.kid }
  })
}

/** Two replicas may both find that a rotation is due; only the first of them finds the key still active. */
async function rotateIfStillActive(active: SigningKeyRow, context: LifecycleContext): Promise<void> {
  const algorithm = active.algorithm as SigningAlgorithm
  await changeKeys(context, async (transaction) => {
    const next = await keyWithStatus(transaction, algorithm, 'next')
    if ((await activeKey(transaction, algorithm))?.kid !== active.kid || !next) return
    await retireActive(transaction, algorithm, context)
    await setStatus(transaction, next.kid, { status: 'active', activated_at: context.now() })
    return { type: 'signing_key.rotated', target: active.kid }
  })
}

async function forgetRetired(context: LifecycleContext): Promise<void> {
  const before = context.now() - retirementSeconds
  const due = await context.store.database
    .selectFrom('signing_keys')
    .select('kid')
    .where('status', '=', 'retired')
    .where('retired_at', '<', before)
    .execute()
  for (const { kid } of due) {
    await changeKeys(context, async (transaction) => {
      const { numDeletedRows } = await transaction
        .deleteFrom('signing_keys')
        .where('kid', '=', kid)
        .where('status', '=', 'retired')
        .executeTakeFirstOrThrow()
      return numDeletedRows > 0n ? { type: 'signing_key.deleted', target: kid } : undefined
    })
  }
}

/**
 * Takes the revision's row lock first, so that no two replicas change keys at the same time.
 * @param change says what it did; nothing where another replica was first, and then nothing is written
 * @returns whether anything was changed
 */
function changeKeys(
  context: LifecycleContext,
  change: (transaction: StoreTransaction) => Promise<MadeChange | undefined>,
): Promise<boolean> {
  return recordIfChanged(context.audit, async (transaction) => {
    await announce(transaction, context.store, { kind: 'signing_key', id: '', at: context.now() })
    return change(transaction)
  })
}

export function insertKey(
  transaction: StoreTransaction,
  generated: Awaited<ReturnType<typeof generateSigningKey>>,
  status: 'next' | 'active',
  { masterKey, now }: Pick<LifecycleContext, 'masterKey' | 'now'>,
): Promise<unknown> {
  const { kid, algorithm, privateKey, publicJwk } = generated
  const der = privateKey.export({ format: 'der', type: 'pkcs8' })
  return transaction
    .insertInto('signing_keys')
    .values({
      kid,
      algorithm,
      status,
      public_jwk: JSON.stringify(publicJwk),
      sealed_private_key: masterKey.seal(der, `signing-key/${kid}`),
      created_at: now(),
      activated_at: status === 'active' ? now() : null,
      retired_at: null,
      revoked_at: null,
    })
    .execute()
}

/** Within a transaction that also records why; whose feed readers have heard of it, its tokens are dead for. */
export async function withdrawKey(
  transaction: StoreTransaction,
  kid: string,
  context: { store: Pick<Store, 'kind'>; now: () => number },
): Promise<void> {
  const now = context.now()
  await setStatus(transaction, kid, { status: 'revoked', revoked_at: now, sealed_private_key: '' })
  await insertRevocation(transaction, context, { kid, expires_at: now + retirementSeconds })
}

/** The one that was published ahead, or else the spare one. @returns its kid */
async function activate(
  transaction: StoreTransaction,
  next: SigningKeyRow | undefined,
  spare: Awaited<ReturnType<typeof generateSigningKey>>,
  context: LifecycleContext,
): Promise<string> {
  if (next) await setStatus(transaction, next.kid, { status: 'active', activated_at: context.now() })
  else await insertKey(transaction, spare, 'active', context)
  return next?.kid ?? spare.kid
}

function retireActive(transaction: StoreTransaction, algorithm: SigningAlgorithm, { now }: LifecycleContext) {
  return transaction
    .updateTable('signing_keys')
    .set({ status: 'retired', retired_at: now() })
    .where('algorithm', '=', algorithm)
    .where('status', '=', 'active')
    .execute()
}

function setStatus(transaction: StoreTransaction, kid: string, values: Partial<SigningKeyRow>): Promise<unknown> {
  return transaction.updateTable('signing_keys').set(values).where('kid', '=', kid).execute()
}

function activeKey(database: Store['database'], algorithm: SigningAlgorithm): Promise<SigningKeyRow | undefined> {
  return keyWithStatus(database, algorithm, 'active')
}

function keyWithStatus(
  database: Store['database'],
  algorithm: SigningAlgorithm,
  status: string,
): Promise<SigningKeyRow | undefined> {
  return database
    .selectFrom('signing_keys')
    .selectAll()
    .where('algorithm', '=', algorithm)
    .where('status', '=', status)
    .executeTakeFirst()
}
