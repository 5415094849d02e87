import { randomBytes } from 'node:crypto'
import { generateSigningKey, type SigningAlgorithm } from '@countersign/tokens'
import { sql } from 'kysely'
import { AuditLog } from '../audit/log.ts'
import { checkMasterKey } from '../sealing/check-master-key.ts'
import type { MasterKey } from '../sealing/master-key.ts'
import { insertKey, withdrawKey } from '../signing-keys/lifecycle.ts'
import { migrationsOf } from './backup.ts'
import {
  type BackupHeader,
  type BackupRow,
  type BackupTable,
  backupTables,
  bad,
  type Row,
  readBackupFile,
} from './backup-file.ts'
import { nextRevision } from './change-feed.ts'
import { knownAuthorities, restoreAuthorities } from './restore-authorities.ts'
import { bannedNodes, restoreNodes } from './restore-nodes.ts'
import { noteRestore, type RestoreNote } from './restore-note.ts'
import { type Store, StoreError, type StoreTransaction } from './store.ts'
import type { AuditHeadRow } from './tables.ts'

export interface RestoreOptions {
  /** The one that the backup's store had */
  masterKey: MasterKey
  /** Put the backup in the place of what the store holds. What the store knows to be refused stays refused. */
  replace?: boolean
  /**
   * `retire` (default): the backup's keys sign nothing more, but stay published while their tokens live.
   * `revoke`: they are withdrawn, and every token that they signed dies. Right when one may have been revoked since.
   */
  signingKeys?: 'retire' | 'revoke'
  nowMilliseconds?: () => number
}

export interface RestoreSummary extends RestoreNote {
  rows: number
  /** Sentences for the operator: what a restored copy cannot know */
  warnings: string[]
}

/** Clients' clocks may be ahead by this: an assertion's `iat` is then later than its use. */
const clockLeewaySeconds = 30
const insertedAtOnce = 200
/** What is refused stays so: these are added to, never replaced. Nor is what was recorded ever taken back. */
const kept: readonly BackupTable[] = ['revocations', 'used_assertions', 'audit_events', 'audit_heads']

/**
 * Puts a backup of either kind of store into this one, in one transaction. A backup does not know what was revoked or
 * used after it was made, so it comes back with new signing keys and new audit chains, refuses every assertion issued
 * before the restore, and leaves a `store.restored` event.
 * @throws StoreError `bad_backup`, `wrong_master_key`, `conflict` (the store is not empty), `unavailable`
 */
export async function restoreStore(store: Store, file: string, options: RestoreOptions): Promise<RestoreSummary> {
  const nowMilliseconds = options.nowMilliseconds ?? Date.now
  const restoredAt = Math.floor(nowMilliseconds() / 1000)
  const backup = await readBackupFile(file, options.masterKey.backupKey)
  const note: RestoreNote = {
    id: randomBytes(4).toString('hex'),
    backupAt: backup.header.createdAt,
    restoredAt,
    assertionsNotBefore: restoredAt + clockLeewaySeconds,
  }
  const audit = new AuditLog({
    store,
    key: options.masterKey.auditKey,
    chain: `restore.${note.id}`,
    nowMilliseconds,
  })
  let rows = 0
  let warnings: string[] = []
  const spares = new Map<SigningAlgorithm, Awaited<ReturnType<typeof generateSigningKey>>>()
  try {
    for (const algorithm of ['ES256', 'RS256', 'EdDSA'] as const) {
      spares.set(algorithm, await generateSigningKey(algorithm))
    }
    await audit.recordChange(
      () => ({
        type: 'store.restored',
        outcome: 'success',
        target: 'store',
        detail: {
          backup_at: new Date(note.backupAt * 1000).toISOString(),
          rows,
          signing_keys: options.signingKeys ?? 'retire',
          warnings,
        },
      }),
      async (transaction) => {
        await refuseMigrations(backup.header, transaction)
        const banned = await bannedNodes(transaction)
        const known = await knownAuthorities(transaction)
        await makeRoom(transaction, options)
        const revoked = await revokedKeys(transaction)
        await transaction.deleteFrom('signing_keys').execute()
        rows = await insertAll(transaction, backup.rows)
        const hasWorkloads = await restoreNodes(transaction, banned)
        const authorities = await restoreAuthorities(transaction, known)
        await checkMasterKey({ database: transaction }, options.masterKey)
        const replaced = await replaceSigningKeys(transaction, spares, revoked, { ...options, store, now: restoredAt })
        await noteRestore(transaction, note)
        await jumpRevision(transaction, backup.header.revision)
        warnings = await warningsOf(transaction, note, { replaced, authorities, hasWorkloads }, options)
      },
    )
  } finally {
    backup.close()
  }
  return { ...note, rows, warnings }
}

async function refuseMigrations(header: BackupHeader, transaction: StoreTransaction): Promise<void> {
  const known = new Set(await migrationsOf(transaction))
  const unknown = header.migrations.find((name) => !known.has(name))
  if (unknown) throw bad(`its schema (${unknown}) is newer than this version of countersign`)
}

/** Locks out other writers, and sees that nothing is overwritten which nobody said may be. */
async function makeRoom(transaction: StoreTransaction, { replace }: RestoreOptions): Promise<void> {
  await nextRevision(transaction)
  const client = await transaction.selectFrom('clients').select('id').limit(1).executeTakeFirst()
  const event = await transaction.selectFrom('audit_events').select('chain').limit(1).executeTakeFirst()
  if ((client || event) && !replace) {
    throw new StoreError(
      'conflict',
      'the database is in use already; restore into an empty one, or say that it is to be replaced',
    )
  }
  for (const table of Object.keys(backupTables).reverse() as BackupTable[]) {
    if (!kept.includes(table) && table !== 'signing_keys') await transaction.deleteFrom(table).execute()
  }
}

async function revokedKeys(transaction: StoreTransaction): Promise<ReadonlySet<string>> {
  const rows = await transaction.selectFrom('signing_keys').select('kid').where('status', '=', 'revoked').execute()
  return new Set(rows.map(({ kid }) => kid))
}

/** Settings that speak of the old store alone: verifiers of the revocation feed have to begin anew. */
const forgottenSettings = ['revocation_feed_epoch', 'revocation_feed_pruned', 'restored']

async function insertAll(transaction: StoreTransaction, rows: AsyncIterable<BackupRow>): Promise<number> {
  let count = 0
  let batch: BackupRow[] = []
  const write = async () => {
    const [first] = batch
    if (first)
      await insertBatch(
        transaction,
        first.table,
        batch.map(({ row }) => row),
      )
    batch = []
  }
  for await (const item of rows) {
    count += 1
    if (item.table === 'settings' && forgottenSettings.includes(String(item.row.name))) continue
    if (batch.length >= insertedAtOnce || (batch[0] && batch[0].table !== item.table)) await write()
    batch.push(item)
  }
  await write()
  return count
}

async function insertBatch(transaction: StoreTransaction, table: BackupTable, rows: Row[]): Promise<void> {
  if (table === 'revocations') {
    // Numbered anew: their old numbers may belong to other revocations here.
    for (const row of rows) row.revision = await nextRevision(transaction)
  }
  if (table === 'audit_heads') return insertHeads(transaction, rows as unknown as AuditHeadRow[])
  try {
    await transaction
      .insertInto(table)
      .values(rows as never)
      .$if(kept.includes(table), (query) => query.onConflict((conflict) => conflict.doNothing()))
      .execute()
  } catch (error) {
    if ((error as { code?: string }).code === 'unavailable') throw error
    throw bad(`a row of ${table} does not fit: ${(error as Error).message}`)
  }
}

/** Of two heads of one chain the further one stays; two chains of one name cannot both be kept. */
async function insertHeads(transaction: StoreTransaction, heads: readonly AuditHeadRow[]): Promise<void> {
  for (const head of heads) {
    const event = await transaction
      .selectFrom('audit_events')
      .select('hash')
      .where('chain', '=', head.chain)
      .where('sequence', '=', head.sequence)
      .executeTakeFirst()
    const there = await transaction
      .selectFrom('audit_heads')
      .select('sequence')
      .where('chain', '=', head.chain)
      .executeTakeFirst()
    if (there && event?.hash !== head.hash) {
      throw bad(`the database has another audit chain named "${head.chain}"; restore into an empty database`)
    }
    if (there && there.sequence >= head.sequence) continue
    await transaction.deleteFrom('audit_heads').where('chain', '=', head.chain).execute()
    await transaction.insertInto('audit_heads').values(head).execute()
  }
}

/** @returns the kids that were taken out of use */
async function replaceSigningKeys(
  transaction: StoreTransaction,
  spares: ReadonlyMap<SigningAlgorithm, Awaited<ReturnType<typeof generateSigningKey>>>,
  revoked: ReadonlySet<string>,
  { masterKey, signingKeys, store, now }: RestoreOptions & { store: Store; now: number },
): Promise<string[]> {
  const rows = await transaction.selectFrom('signing_keys').selectAll().where('status', '!=', 'revoked').execute()
  const algorithms = new Set<string>(['ES256'])
  for (const { kid, algorithm, status } of rows) {
    if (status === 'active') algorithms.add(algorithm)
    if (revoked.has(kid) || signingKeys === 'revoke') {
      await withdrawKey(transaction, kid, { store, now: () => now })
    } else {
      await transaction
        .updateTable('signing_keys')
        .set({ status: 'retired', retired_at: now })
        .where('kid', '=', kid)
        .where('status', '!=', 'retired')
        .execute()
    }
  }
  for (const [algorithm, spare] of spares) {
    if (algorithms.has(algorithm)) await insertKey(transaction, spare, 'active', { masterKey, now: () => now })
  }
  return rows.map(({ kid }) => kid)
}

/** Beyond every number that either store has given: a replica that reads on finds a gap, and forgets all it knew. */
async function jumpRevision(transaction: StoreTransaction, backupRevision: number): Promise<void> {
  await sql`update store_revision set value = case when value > ${sql.lit(backupRevision)}
    then value else ${sql.lit(backupRevision)} end + 1`.execute(transaction)
}

async function warningsOf(
  transaction: StoreTransaction,
  note: RestoreNote,
  back: { replaced: readonly string[]; authorities: readonly string[]; hasWorkloads: boolean },
  { signingKeys }: RestoreOptions,
): Promise<string[]> {
  const since = new Date(note.backupAt * 1000).toISOString()
  const { secrets } = await transaction
    .selectFrom('client_secrets')
    .select((row) => row.fn.countAll<number>().as('secrets'))
    .executeTakeFirstOrThrow()
  return [
    `the backup is of ${since}: what was changed or recorded after that is not in it`,
    `clients that were disabled or deleted, secrets, keys and grants that were withdrawn, and keys of services that were removed after ${since} are back (${secrets} secrets in all): withdraw them again`,
    signingKeys === 'revoke'
      ? `every signing key of the backup is revoked, and every token signed by them: ${back.replaced.join(', ') || 'none'}`
      : `signing keys of the backup no longer sign, but verify while their tokens live; revoke those that were revoked after ${since}: ${back.replaced.join(', ') || 'none'}`,
    `tokens and clients' tokens that were revoked after ${since} are valid until they expire`,
    ...(back.hasWorkloads
      ? [
          `registration entries that were deleted, and nodes that were banned or evicted after ${since} are back; every node must attest itself again, for which agents that joined by a join token need a new one`,
        ]
      : []),
    ...(back.authorities.length > 0
      ? [
          `certificate authorities of the backup sign and are trusted again; revoke those that were revoked after ${since}: ${back.authorities.join(', ')}`,
        ]
      : []),
    `client assertions issued before ${new Date(note.assertionsNotBefore * 1000).toISOString()} are refused`,
  ]
}
