import type { Actor } from '../audit/event.ts'
import { Problem } from '../http/problem.ts'
import { announce } from '../storage/change-feed.ts'
import type { Database, StoreTransaction } from '../storage/store.ts'
import type { CertificateAuthorityRow } from '../storage/workload-identity-tables.ts'
import { type AuthorityContext, type AuthorityKind, authorityKinds } from './authority-context.ts'
import { type AuthorityChange, authorityWithStatus, changeAuthorities, nothingToDo } from './change-authorities.ts'
import { makeAuthority } from './make-authority.ts'
import { openAuthorityKey } from './open-authority-key.ts'

/** Of one kind, published at one time: bundles must stay of a size that verifiers read. */
export const mostAuthorities = 16

/** Sees to it that there is an authority of this kind that signs. */
export async function ensureAuthority(kind: AuthorityKind, context: AuthorityContext): Promise<void> {
  if (await authorityWithStatus(context.store.database, context, kind, 'active')) return
  await activateAtOnce(kind, context, {}, (active) => active === undefined)
}

/**
 * Makes an authority and publishes it, so that everybody knows it before it signs.
 * @throws Problem `already_prepared`, `too_many_authorities` @throws CaUnavailable
 */
export async function prepareAuthority(kind: AuthorityKind, context: AuthorityContext, actor: Actor = {}) {
  const made = await makeAuthority(kind, context)
  await changeAuthorities(
    { ...actor, type: 'ca.prepared', target: targetOf(made), detail: { kind } },
    context,
    async (transaction) => {
      const prepared = await authorityWithStatus(transaction, context, kind, 'prepared')
      if (prepared) {
        throw new Problem(
          409,
          'already_prepared',
          `${prepared.id} is prepared already: activate it, or revoke it first`,
        )
      }
      await insertAuthority(transaction, made, 'prepared', context)
    },
  )
  return made.id
}

/**
 * Lets a prepared authority sign from now on. The one before stays in the bundle until it expires.
 * @param options.force also before it has been published for long enough: who has not fetched the bundle since fails
 * @throws Problem `not_found`, `not_prepared`, `too_early` @throws CaUnavailable when its key cannot be opened
 */
export async function activateAuthority(
  id: string,
  context: AuthorityContext,
  { force = false, actor = {} }: { force?: boolean; actor?: Actor } = {},
): Promise<void> {
  const activated = activation(actor)
  await changeAuthorities(activated.fact, context, async (transaction) => {
    const row = await authorityById(transaction, context, id)
    if (row.status !== 'prepared') {
      throw new Problem(409, 'not_prepared', `this one is ${row.status}; only a prepared authority can be activated`)
    }
    const wait = row.created_at + context.publishAheadSeconds - context.now()
    if (wait > 0 && !force) {
      throw new Problem(
        409,
        'too_early',
        `it was published less than ${context.publishAheadSeconds} seconds ago, and not everybody knows it: wait ${wait} seconds, or force it`,
      )
    }
    await activate(transaction, row, context, activated)
  })
}

/**
 * Replaces the authority that signs, without anybody noticing: prepares another one where none is, and has it activated
 * as soon as it has been published for long enough.
 * @param options.force at once: who has not fetched the bundle since fails
 * @returns the id of the one that signs, or will sign
 * @throws Problem `too_many_authorities` @throws CaUnavailable
 */
export async function rotateAuthority(
  kind: AuthorityKind,
  context: AuthorityContext,
  { force = false, actor = {} }: { force?: boolean; actor?: Actor } = {},
): Promise<string> {
  if (force) return activateAtOnce(kind, context, actor)
  const made = await makeAuthority(kind, context)
  const activated = activation(actor)
  let id = made.id
  let fact = (): AuthorityChange => ({ ...actor, type: 'ca.prepared', target: targetOf(made), detail: { kind } })
  await changeAuthorities(
    () => fact(),
    context,
    async (transaction) => {
      const prepared = await authorityWithStatus(transaction, context, kind, 'prepared')
      if (!prepared) {
        await insertAuthority(transaction, { ...made, activation_asked_at: context.now() }, 'prepared', context)
        return
      }
      id = prepared.id
      if (context.now() - prepared.created_at >= context.publishAheadSeconds) {
        fact = activated.fact
        await activate(transaction, prepared, context, activated)
        return
      }
      fact = () => ({ ...actor, type: 'ca.activation_asked', target: targetOf(prepared), detail: { kind } })
      if (prepared.activation_asked_at !== null) return nothingToDo
      await setAuthority(transaction, prepared.id, { activation_asked_at: context.now() })
    },
  )
  return id
}

/**
 * Tells everybody to renew what this authority has signed; it stays in the bundle, so that nothing fails meanwhile.
 * @throws Problem `not_found`, `still_active`
 */
export async function taintAuthority(id: string, context: AuthorityContext, actor: Actor = {}): Promise<void> {
  await changeAuthorities({ ...actor, type: 'ca.tainted', target: `ca/${id}` }, context, async (transaction) => {
    const row = await authorityById(transaction, context, id)
    if (row.status === 'active') {
      throw new Problem(
        409,
        'still_active',
        'it signs: activate another one first (rotate), or all would renew with it',
      )
    }
    if (row.tainted_at !== null || row.status === 'revoked') return nothingToDo
    await setAuthority(transaction, id, { tainted_at: context.now() })
  })
}

/**
 * Takes an authority out of the bundle at once, and destroys its key: nothing that it signed is trusted any more.
 * @param options.force also where it was not tainted before, or signs still (then another one takes its place at once)
 * @throws Problem `not_found`, `not_tainted` @throws CaUnavailable
 */
export async function revokeAuthority(
  id: string,
  context: AuthorityContext,
  { force = false, actor = {} }: { force?: boolean; actor?: Actor } = {},
): Promise<void> {
  const { kind } = await authorityById(context.store.database, context, id)
  const spare = await makeAuthority(kind as AuthorityKind, context)
  await changeAuthorities(
    { ...actor, type: 'ca.revoked', target: `ca/${id}`, detail: { kind } },
    context,
    async (tx) => {
      const row = await authorityById(tx, context, id)
      if (row.status === 'revoked') return nothingToDo
      if (row.tainted_at === null && row.status !== 'prepared' && !force) {
        throw new Problem(
          409,
          'not_tainted',
          'taint it first and give everybody time to renew; or force it: whoever holds an SVID of it then fails until renewed',
        )
      }
      await setAuthority(tx, id, withdrawn(context))
      if (kind === 'jwt') await nameOnFeed(tx, row, context)
      if (row.status !== 'active') return
      const prepared = await authorityWithStatus(tx, context, kind as AuthorityKind, 'prepared')
      if (prepared) await setAuthority(tx, prepared.id, { status: 'active', activated_at: context.now() })
      else await insertAuthority(tx, spare, 'active', context)
    },
  )
}

/** What is due now. Any replica may do it; doing it twice, or on two of them at once, does nothing. */
export async function tendAuthorities(context: AuthorityContext): Promise<void> {
  const failures: unknown[] = []
  const failed = (error: unknown) => void failures.push(error)
  // What one of them lacks must not hold up the others.
  for (const kind of authorityKinds) await tend(kind, context).catch(failed)
  await forgetExpired(context).catch(failed)
  if (failures.length > 0) throw failures[0]
}

/** Half-way through its life the next one is published; when a sixth is left, that one signs. */
async function tend(kind: AuthorityKind, context: AuthorityContext): Promise<void> {
  const { database } = context.store
  const now = context.now()
  const active = await authorityWithStatus(database, context, kind, 'active')
  if (!active || now >= active.expires_at) {
    // Nothing that is signed now would be believed: better one that is known late.
    await activateAtOnce(kind, context, {}, (found) => found?.id === active?.id)
    return
  }
  const life = active.expires_at - active.created_at
  const prepared = await authorityWithStatus(database, context, kind, 'prepared')
  if (!prepared) {
    if (now >= active.created_at + life / 2) await prepareNext(kind, active, context)
    return
  }
  const isDue = now >= active.expires_at - life / 6 || prepared.activation_asked_at !== null
  if (isDue && now - prepared.created_at >= context.publishAheadSeconds) {
    await activateInTurn(active, prepared, context)
  }
}

async function prepareNext(kind: AuthorityKind, active: CertificateAuthorityRow, context: AuthorityContext) {
  const made = await makeAuthority(kind, context)
  if (made.expires_at <= active.expires_at) {
    throw new Error(
      `the upstream CA ends at ${new Date(made.expires_at * 1000).toISOString()}, and no CA under it would live longer than the present one: put its successor in the files of spiffe.upstream_ca`,
    )
  }
  const fact = { type: 'ca.prepared', target: targetOf(made), detail: { kind } }
  await changeAuthorities(fact, context, async (transaction) => {
    if (await authorityWithStatus(transaction, context, kind, 'prepared')) return nothingToDo
    await insertAuthority(transaction, made, 'prepared', context)
  })
}

/** Two replicas may both find that it is time; only the first finds both of them as they were. */
async function activateInTurn(
  active: CertificateAuthorityRow,
  prepared: CertificateAuthorityRow,
  context: AuthorityContext,
): Promise<void> {
  const activated = activation({})
  await changeAuthorities(activated.fact, context, async (transaction) => {
    const kind = prepared.kind as AuthorityKind
    const [signing, next] = await Promise.all([
      authorityWithStatus(transaction, context, kind, 'active'),
      authorityWithStatus(transaction, context, kind, 'prepared'),
    ])
    if (signing?.id !== active.id || next?.id !== prepared.id) return nothingToDo
    await activate(transaction, next, context, activated)
  })
}

/** The prepared one, or else a new one. @param only if this holds for the active one, when nobody else can change it */
async function activateAtOnce(
  kind: AuthorityKind,
  context: AuthorityContext,
  actor: Actor,
  only: (active: CertificateAuthorityRow | undefined) => boolean = () => true,
): Promise<string> {
  const made = { ...(await makeAuthority(kind, context)), status: 'prepared' }
  const activated = activation(actor)
  let next: CertificateAuthorityRow = made
  await changeAuthorities(activated.fact, context, async (transaction) => {
    if (!only(await authorityWithStatus(transaction, context, kind, 'active'))) return nothingToDo
    const prepared = await authorityWithStatus(transaction, context, kind, 'prepared')
    if (prepared && isUsable(prepared, context)) {
      next = prepared
    } else {
      // It has never signed, so nobody misses it.
      if (prepared) await setAuthority(transaction, prepared.id, withdrawn(context))
      await insertAuthority(transaction, made, 'prepared', context)
    }
    await activate(transaction, next, context, activated)
  })
  return next.id
}

interface Activation {
  fact: () => AuthorityChange
  note: (activated: CertificateAuthorityRow, retired: CertificateAuthorityRow | undefined) => void
}

/** What is told of an activation is known only once it has been made. */
function activation(actor: Actor): Activation {
  let told: AuthorityChange = { ...actor, type: 'ca.activated' }
  return {
    fact: () => told,
    note: (activated, retired) => {
      const detail = { kind: activated.kind, retires: retired?.id ?? null }
      told = { ...told, target: targetOf(activated), detail }
    },
  }
}

async function activate(
  transaction: StoreTransaction,
  next: CertificateAuthorityRow,
  context: AuthorityContext,
  { note }: Activation,
): Promise<void> {
  const now = context.now()
  // A key that cannot be opened must not take the place of one that can.
  openAuthorityKey(next, context.masterKey)
  const active = await authorityWithStatus(transaction, context, next.kind as AuthorityKind, 'active')
  // Its certificate is needed still, its key never again.
  if (active) {
    await setAuthority(transaction, active.id, { status: 'retired', retired_at: now, sealed_private_key: '' })
  }
  await setAuthority(transaction, next.id, { status: 'active', activated_at: now })
  note(next, active)
}

/** What has expired is of no use in the bundle, and its key of none at all. */
async function forgetExpired(context: AuthorityContext): Promise<void> {
  const { database } = context.store
  const expired = (rows: Database | StoreTransaction) =>
    rows
      .selectFrom('certificate_authorities')
      .select(['id', 'kind'])
      .where('trust_domain', '=', context.trustDomain)
      .where('status', '!=', 'active')
      .where('expires_at', '<=', context.now())
  for (const { id, kind } of await expired(database).execute()) {
    const fact = { type: 'ca.retired', target: `ca/${id}`, detail: { kind } }
    await changeAuthorities(fact, context, async (transaction) => {
      if (!(await expired(transaction).where('id', '=', id).executeTakeFirst())) return nothingToDo
      await transaction.deleteFrom('certificate_authorities').where('id', '=', id).execute()
    })
  }
}

async function insertAuthority(
  transaction: StoreTransaction,
  made: Omit<CertificateAuthorityRow, 'status'>,
  status: 'prepared' | 'active',
  context: AuthorityContext,
): Promise<void> {
  const { published } = await transaction
    .selectFrom('certificate_authorities')
    .select((row) => row.fn.countAll<number>().as('published'))
    .where('trust_domain', '=', context.trustDomain)
    .where('kind', '=', made.kind)
    .where('status', '!=', 'revoked')
    .executeTakeFirstOrThrow()
  if (Number(published) >= mostAuthorities) {
    throw new Problem(
      409,
      'too_many_authorities',
      `${mostAuthorities} ${made.kind} authorities are published already: wait until some have expired, or revoke old ones`,
    )
  }
  const activated_at = status === 'active' ? context.now() : null
  await transaction
    .insertInto('certificate_authorities')
    .values({ ...made, status, activated_at })
    .execute()
}

function setAuthority(
  transaction: StoreTransaction,
  id: string,
  values: Partial<CertificateAuthorityRow>,
): Promise<unknown> {
  return transaction.updateTable('certificate_authorities').set(values).where('id', '=', id).execute()
}

function withdrawn({ now }: AuthorityContext): Partial<CertificateAuthorityRow> {
  return { status: 'revoked', revoked_at: now(), sealed_private_key: '' }
}

function isUsable(prepared: CertificateAuthorityRow, { masterKey, now }: AuthorityContext): boolean {
  if (prepared.expires_at <= now()) return false
  try {
    openAuthorityKey(prepared, masterKey)
    return true
  } catch {
    return false
  }
}

/** Guards that follow the feed refuse what it signed before they have fetched the bundle. */
async function nameOnFeed(
  transaction: StoreTransaction,
  row: CertificateAuthorityRow,
  { store, now }: AuthorityContext,
): Promise<void> {
  const revision = await announce(transaction, store, { kind: 'revocation', id: row.id, at: now() })
  const nothing = { jti: null, client_id: null, before: null, audience: null }
  await transaction
    .insertInto('revocations')
    .values({ ...nothing, revision, kid: row.id, expires_at: row.expires_at })
    .execute()
}

/** @throws Problem `not_found` */
async function authorityById(
  database: Database,
  { trustDomain }: AuthorityContext,
  id: string,
): Promise<CertificateAuthorityRow> {
  const row = await database
    .selectFrom('certificate_authorities')
    .selectAll()
    .where('trust_domain', '=', trustDomain)
    .where('id', '=', id)
    .executeTakeFirst()
  if (!row) throw new Problem(404, 'not_found', 'there is no certificate authority with this id')
  return row
}

function targetOf({ id }: { id: string }): string {
  return `ca/${id}`
}
