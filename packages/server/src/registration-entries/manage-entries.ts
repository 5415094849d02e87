import type { Administrator } from '../admin/administrator.ts'
import { changeAs } from '../admin/change.ts'
import type { AuditFact } from '../audit/event.ts'
import type { Authority } from '../authority.ts'
import { Problem } from '../http/problem.ts'
import type { Database } from '../storage/store.ts'
import type { RegistrationEntryRow } from '../storage/workload-identity-tables.ts'
import { checkEntry } from './check-entry.ts'
import { columnsOf, type EntryValues, insertEntry, isEntryId, newEntry } from './insert-entry.ts'
import { entryOf, selectorText } from './registration-entry.ts'
import { requireHeldOfIdentities } from './require-held.ts'

/** @throws Problem `not_found` */
export async function findEntry(database: Database, id: string): Promise<RegistrationEntryRow> {
  const row = isEntryId(id)
    ? await database.selectFrom('registration_entries').selectAll().where('id', '=', id).executeTakeFirst()
    : undefined
  if (!row) throw new Problem(404, 'not_found', 'there is no registration entry with this id')
  return row
}

/**
 * @throws Problem `invalid`, `insufficient_scope`; StoreError `conflict` when there is an entry with this SPIFFE ID, parent and selectors
 */
export async function createEntry(
  values: Parameters<typeof newEntry>[0],
  trustDomain: string,
  authority: Authority,
  administrator: Administrator,
): Promise<RegistrationEntryRow> {
  const entry = newEntry(values)
  checkEntry(entry, trustDomain)
  return changeAs(administrator, authority, {
    announces: { kind: 'entry', id: entry.id },
    fact: { type: 'entry.created', target: `entry/${entry.id}`, detail: told(entry) },
    change: async (transaction, now) => {
      await requireHeldOfIdentities(transaction, entry, administrator)
      return insertEntry(transaction, entry, now)
    },
  })
}

/**
 * Changes what is named. What is the same afterwards is not touched: each revision has agents ask for new SVIDs.
 * @throws Problem `not_found`, `invalid`, `insufficient_scope`; StoreError `conflict`
 */
export async function updateEntry(
  id: string,
  values: Partial<EntryValues>,
  trustDomain: string,
  authority: Authority,
  administrator: Administrator,
): Promise<RegistrationEntryRow> {
  const present = await findEntry(authority.store.database, id)
  if (difference(present, values).length === 0) return present
  let detail: AuditFact['detail'] = {}
  return changeAs(administrator, authority, {
    announces: { kind: 'entry', id },
    fact: () => ({ type: 'entry.updated', target: `entry/${id}`, detail }),
    change: async (transaction, now) => {
      const before = await findEntry(transaction, id)
      const after: EntryValues = { ...entryOf(before), ...values }
      checkEntry(after, trustDomain)
      await requireHeldOfIdentities(transaction, after, administrator)
      detail = { changed: difference(before, values), ...told(after) }
      return transaction
        .updateTable('registration_entries')
        .set({ ...columnsOf(after), revision_number: before.revision_number + 1, updated_at: now })
        .where('id', '=', id)
        .returningAll()
        .executeTakeFirstOrThrow()
    },
  })
}

/**
 * @param options.expiredBefore only if it has expired by then, in seconds since the epoch
 * @throws Problem `not_found`
 */
export async function deleteEntry(
  id: string,
  authority: Authority,
  administrator: Administrator,
  { expiredBefore }: { expiredBefore?: number } = {},
): Promise<void> {
  await findEntry(authority.store.database, id)
  let detail: AuditFact['detail'] = {}
  await changeAs(administrator, authority, {
    announces: { kind: 'entry', id },
    fact: () => ({ type: 'entry.deleted', target: `entry/${id}`, detail }),
    change: async (transaction) => {
      const entry = entryOf(await findEntry(transaction, id))
      if (expiredBefore !== undefined && !(entry.expiresAt !== undefined && entry.expiresAt < expiredBefore)) {
        throw new Problem(404, 'not_found', 'the entry has not expired')
      }
      detail = { ...told(entry), ...(expiredBefore !== undefined && { expired: true }) }
      await transaction.deleteFrom('registration_entries').where('id', '=', id).execute()
    },
  })
}

function difference(before: RegistrationEntryRow, values: Partial<EntryValues>): string[] {
  const after = columnsOf({ ...entryOf(before), ...values })
  return (Object.keys(after) as (keyof typeof after)[]).filter(
    (column) => column !== 'fingerprint' && after[column] !== before[column],
  )
}

/** What decides who gets what; none of it is secret. */
function told(entry: EntryValues): NonNullable<AuditFact['detail']> {
  const { policy } = entry
  return {
    spiffe_id: entry.spiffeId,
    parent_id: entry.parentId,
    selectors: entry.selectors.map(selectorText),
    ...(entry.dnsNames.length > 0 && { dns_names: entry.dnsNames }),
    ...(entry.admin && { admin: true }),
    ...(entry.downstream && { downstream: true }),
    ...(policy?.binarySha256 && { binary_sha256: policy.binarySha256 }),
    ...(policy?.notRoot && { not_root: true }),
    ...(policy?.nodeAttestedWithinSeconds && { node_attested_within: policy.nodeAttestedWithinSeconds }),
  }
}
