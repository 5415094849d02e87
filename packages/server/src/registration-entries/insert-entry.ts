import { createHash, randomUUID } from 'node:crypto'
import type { StoreTransaction } from '../storage/store.ts'
import type { RegistrationEntryRow } from '../storage/workload-identity-tables.ts'
import { type EntryPolicy, type RegistrationEntry, type Selector, selectorText } from './registration-entry.ts'

/** What decides over an entry, without what the store adds to it. */
export type EntryValues = Omit<
  RegistrationEntry,
  'id' | 'revisionNumber' | 'createdAt' | 'updatedAt' | 'expiresAt' | 'policy'
> & { readonly expiresAt?: number | undefined; readonly policy?: EntryPolicy | undefined }

/** An entry with all that was not said as it is by default. Its selectors come out sorted. */
export function newEntry(
  given: Pick<EntryValues, 'spiffeId' | 'parentId' | 'selectors'> & Partial<EntryValues>,
): EntryValues & { id: string } {
  return {
    x509SvidTtlSeconds: 0,
    jwtSvidTtlSeconds: 0,
    dnsNames: [],
    hint: '',
    federatesWith: [],
    admin: false,
    downstream: false,
    storeSvid: false,
    ...given,
    selectors: sortSelectors(given.selectors),
    id: randomUUID(),
  }
}

/** Whether it could be one: databases stumble over what cannot. */
export function isEntryId(text: string): boolean {
  return /^[0-9a-f-]{36}$/.test(text)
}

/** @throws StoreError `conflict` when there is an entry with this SPIFFE ID, parent and selectors */
export async function insertEntry(
  transaction: StoreTransaction,
  entry: EntryValues & { id: string },
  now: number,
): Promise<RegistrationEntryRow> {
  return transaction
    .insertInto('registration_entries')
    .values({ id: entry.id, ...columnsOf(entry), revision_number: 0, created_at: now, updated_at: now })
    .returningAll()
    .executeTakeFirstOrThrow()
}

export function columnsOf(
  entry: EntryValues,
): Omit<RegistrationEntryRow, 'id' | 'revision_number' | 'created_at' | 'updated_at'> {
  return {
    spiffe_id: entry.spiffeId,
    parent_id: entry.parentId,
    selectors: JSON.stringify(entry.selectors.map(({ type, value }) => ({ type, value }))),
    fingerprint: fingerprintOf(entry),
    x509_svid_ttl: entry.x509SvidTtlSeconds,
    jwt_svid_ttl: entry.jwtSvidTtlSeconds,
    dns_names: JSON.stringify(entry.dnsNames),
    hint: entry.hint,
    federates_with: JSON.stringify(entry.federatesWith),
    admin: entry.admin ? 1 : 0,
    downstream: entry.downstream ? 1 : 0,
    store_svid: entry.storeSvid ? 1 : 0,
    expires_at: entry.expiresAt ?? null,
    policy: entry.policy ? JSON.stringify(entry.policy) : null,
  }
}

export function sortSelectors(selectors: readonly Selector[]): Selector[] {
  const byText = new Map(selectors.map((selector) => [selectorText(selector), selector]))
  return [...byText].sort(([one], [other]) => (one < other ? -1 : 1)).map(([, selector]) => selector)
}

/** Two entries that say the same of the same workloads are one too many. */
function fingerprintOf({ spiffeId, parentId, selectors }: EntryValues): string {
  const said = JSON.stringify([spiffeId, parentId, ...sortSelectors(selectors).map(selectorText)])
  return createHash('sha256').update(said).digest('hex')
}
