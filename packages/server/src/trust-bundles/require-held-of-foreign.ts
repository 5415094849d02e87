import { adminAudience } from '../admin/admin-scopes.ts'
import { type Administrator, requireHeld } from '../admin/administrator.ts'
import type { Database } from '../storage/store.ts'

/**
 * Whoever says what is trusted for a trust domain can make himself any workload of it, and so any client that is known by
 * such an ID: that takes every scope of the admin API that one of them holds.
 * @throws Problem `insufficient_scope`
 */
export async function requireHeldOfForeign(
  database: Database,
  trustDomain: string,
  administrator: Administrator,
): Promise<void> {
  if (administrator.holds === undefined) return
  const administrators = await database
    .selectFrom('client_grants')
    .innerJoin('apis', 'apis.id', 'client_grants.api_id')
    .innerJoin('clients', 'clients.id', 'client_grants.client_id')
    .select(['clients.spiffe_ids', 'client_grants.scopes'])
    .where('apis.audience', '=', adminAudience)
    .where('clients.spiffe_ids', '!=', '[]')
    .execute()
  for (const { spiffe_ids, scopes } of administrators) {
    const isOfIt = (pattern: string) => pattern.toLowerCase().startsWith(`spiffe://${trustDomain}/`)
    if ((JSON.parse(spiffe_ids) as string[]).some(isOfIt)) requireHeld(JSON.parse(scopes), administrator)
  }
}
