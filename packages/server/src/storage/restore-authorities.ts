import type { StoreTransaction } from './store.ts'
import type { BundleStateRow, CertificateAuthorityRow, TrustBundleRow } from './workload-identity-tables.ts'

/** Others may have seen numbers that were given after the backup was made; they are never this many. */
const skippedNumbers = 1_000_000

/** What a store knows of authorities and bundles before a backup takes its place. */
export interface KnownAuthorities {
  authorities: readonly CertificateAuthorityRow[]
  states: readonly BundleStateRow[]
  bundles: readonly TrustBundleRow[]
}

export async function knownAuthorities(transaction: StoreTransaction): Promise<KnownAuthorities> {
  return {
    authorities: await transaction.selectFrom('certificate_authorities').selectAll().execute(),
    states: await transaction.selectFrom('bundle_state').selectAll().execute(),
    bundles: await transaction.selectFrom('trust_bundles').selectAll().execute(),
  }
}

/**
 * A backup does not know which CAs were made, and which revoked, after it was made. Where the store knows, its own stay,
 * with what they signed; else those of the backup come back. Bundles never go back, neither our own nor those of others.
 * @returns the ids of authorities that came from the backup
 */
export async function restoreAuthorities(
  transaction: StoreTransaction,
  { authorities, states, bundles }: KnownAuthorities,
): Promise<string[]> {
  const known = new Set(authorities.map((row) => row.trust_domain))
  for (const name of known) {
    await transaction.deleteFrom('certificate_authorities').where('trust_domain', '=', name).execute()
  }
  for (const row of authorities) await transaction.insertInto('certificate_authorities').values(row).execute()
  await countOn(transaction, states, known)
  for (const { trust_domain: name, bundle, sequence_number, refresh_hint, fetched_at } of bundles) {
    if (bundle === null) continue
    await transaction
      .updateTable('trust_bundles')
      .set({ bundle, sequence_number, refresh_hint, fetched_at })
      .where('trust_domain', '=', name)
      .execute()
  }
  // What others have published meanwhile is fetched at once.
  await transaction
    .updateTable('trust_bundles')
    .set({ next_fetch_at: 0 })
    .where('endpoint_url', 'is not', null)
    .execute()
  const rows = await transaction
    .selectFrom('certificate_authorities')
    .select(['id', 'trust_domain'])
    .where('status', '!=', 'revoked')
    .execute()
  return rows.filter((row) => !known.has(row.trust_domain)).map(({ id }) => id)
}

async function countOn(
  transaction: StoreTransaction,
  states: readonly BundleStateRow[],
  known: ReadonlySet<string>,
): Promise<void> {
  const restored = await transaction.selectFrom('bundle_state').selectAll().execute()
  const latest = new Map(restored.map((row) => [row.trust_domain, row]))
  for (const row of states) {
    const other = latest.get(row.trust_domain)
    if (!other || other.sequence_number < row.sequence_number) latest.set(row.trust_domain, row)
  }
  await transaction.deleteFrom('bundle_state').execute()
  for (const row of latest.values()) {
    const sequence_number = row.sequence_number + (known.has(row.trust_domain) ? 1 : skippedNumbers)
    await transaction
      .insertInto('bundle_state')
      .values({ ...row, sequence_number })
      .execute()
  }
}
