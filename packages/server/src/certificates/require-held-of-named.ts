import type { Certificate } from '@countersign/spiffe'
import { adminAudience } from '../admin/admin-scopes.ts'
import { type Administrator, requireHeld } from '../admin/administrator.ts'
import { hasName } from '../client-auth/tls-client-auth.ts'
import { readTlsClientAuth } from '../clients/tls-client-auth.ts'
import type { Database } from '../storage/store.ts'

/**
 * Whoever gets a certificate by which a client is known (tls_client_auth) can become that client: for one that holds
 * scopes of the admin API this takes the same scopes.
 * @throws Problem `insufficient_scope`
 */
export async function requireHeldOfNamed(
  leaf: Certificate,
  database: Database,
  administrator: Administrator,
): Promise<void> {
  if (administrator.holds === undefined || leaf.extendedKeyUsage?.has('client') === false) return
  const administrators = await database
    .selectFrom('client_grants')
    .innerJoin('apis', 'apis.id', 'client_grants.api_id')
    .innerJoin('clients', 'clients.id', 'client_grants.client_id')
    .select(['clients.tls_client_auth', 'client_grants.scopes'])
    .where('apis.audience', '=', adminAudience)
    .where('clients.tls_client_auth', 'is not', null)
    .execute()
  for (const { tls_client_auth: stored, scopes } of administrators) {
    const known = readTlsClientAuth(JSON.parse(stored ?? '{}'))
    if (known && hasName(leaf, known)) requireHeld(JSON.parse(scopes), administrator)
  }
}
