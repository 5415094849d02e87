import { matchesSpiffePattern } from '@countersign/spiffe'
import { sql } from 'kysely'
import { adminAudience } from '../admin/admin-scopes.ts'
import { type Administrator, requireHeld } from '../admin/administrator.ts'
import type { Database } from '../storage/store.ts'

/**
 * Whoever can have a workload of his own called as an administrating client is called becomes that client. So an entry
 * takes every scope of the admin API that a client holds who is known by its SPIFFE ID, or by one of those that hang on
 * it: an agent gets what is below the IDs that it has.
 * @throws Problem `insufficient_scope`
 */
export async function requireHeldOfIdentities(
  database: Database,
  spiffeId: string,
  administrator: Administrator,
): Promise<void> {
  const { holds } = administrator
  if (holds === undefined) return
  const mightier = (await administratingClients(database)).filter(({ scopes }) =>
    scopes.some((scope) => !holds.includes(scope)),
  )
  if (mightier.length === 0) return
  const identities = await identitiesFrom(database, spiffeId)
  for (const { patterns, scopes } of mightier) {
    if (identities.some((id) => patterns.some((pattern) => matchesSpiffePattern(id, pattern)))) {
      requireHeld(scopes, administrator)
    }
  }
}

async function administratingClients(database: Database): Promise<{ patterns: string[]; scopes: string[] }[]> {
  const rows = await database
    .selectFrom('client_grants')
    .innerJoin('apis', 'apis.id', 'client_grants.api_id')
    .innerJoin('clients', 'clients.id', 'client_grants.client_id')
    .select(['clients.spiffe_ids', 'client_grants.scopes'])
    .where('apis.audience', '=', adminAudience)
    .where('clients.spiffe_ids', '!=', '[]')
    .execute()
  return rows.map(({ spiffe_ids, scopes }) => ({ patterns: JSON.parse(spiffe_ids), scopes: JSON.parse(scopes) }))
}

/** The ID, and those of all entries below it. `union` ends where entries are each other's parents. */
async function identitiesFrom(database: Database, spiffeId: string): Promise<string[]> {
  const { rows } = await sql<{ id: string }>`
    with recursive below (id) as (
      select cast(${spiffeId} as text)
      union
      select entry.spiffe_id from registration_entries entry join below on entry.parent_id = below.id
    )
    select id from below`.execute(database)
  return rows.map(({ id }) => id)
}
