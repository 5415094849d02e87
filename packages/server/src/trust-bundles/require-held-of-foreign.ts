import type { Administrator } from '../admin/administrator.ts'
import { requireHeldOfClients } from '../admin/mightier-clients.ts'
import type { Database } from '../storage/store.ts'

/**
 * Whoever says what is trusted for a trust domain can make himself any workload of it, and so any client that is known by
 * such an ID.
 * @throws Problem `insufficient_scope`
 */
export function requireHeldOfForeign(
  database: Database,
  trustDomain: string,
  administrator: Administrator,
): Promise<void> {
  const isOfIt = (pattern: string) => pattern.toLowerCase().startsWith(`spiffe://${trustDomain}/`)
  return requireHeldOfClients(database, administrator, ({ spiffeIds }) => spiffeIds.some(isOfIt))
}
