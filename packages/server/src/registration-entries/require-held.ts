import { matchesSpiffePattern } from '@countersign/spiffe'
import { sql } from 'kysely'
import type { Administrator } from '../admin/administrator.ts'
import { requireHeldOfNamed } from '../admin/mightier-clients.ts'
import type { Database } from '../storage/store.ts'

interface Identity {
  spiffeId: string
  dnsNames: readonly string[]
}

/**
 * An entry gives a workload names by which a client may be known; and a node that has an ID gets all that is below it.
 * Neither may be more than the administrator has himself.
 * @throws Problem `insufficient_scope`
 */
export async function requireHeldOfIdentities(
  database: Database,
  identity: Identity,
  administrator: Administrator,
): Promise<void> {
  let identities: Identity[] | undefined
  await requireHeldOfNamed(database, administrator, async ({ spiffeIds, tlsClientAuth }) => {
    identities ??= [identity, ...(await identitiesBelow(database, identity.spiffeId))]
    const dnsName = tlsClientAuth?.name === 'san_dns' ? tlsClientAuth.value.toLowerCase() : undefined
    return identities.some(
      (each) =>
        spiffeIds.some((pattern) => matchesSpiffePattern(each.spiffeId, pattern)) ||
        each.dnsNames.some((name) => name.toLowerCase() === dnsName),
    )
  })
}

/** Of all entries below an ID, however deep. `union` ends where entries are each other's parents. */
async function identitiesBelow(database: Database, spiffeId: string): Promise<Identity[]> {
  const { rows } = await sql<{ spiffe_id: string; dns_names: string }>`
    with recursive below (id) as (
      select cast(${spiffeId} as text)
      union
      select entry.spiffe_id from registration_entries entry join below on entry.parent_id = below.id
    )
    select spiffe_id, dns_names from registration_entries where parent_id in (select id from below)`.execute(database)
  return rows.map(({ spiffe_id, dns_names }) => ({ spiffeId: spiffe_id, dnsNames: JSON.parse(dns_names) }))
}
