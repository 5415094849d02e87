import type { Certificate } from '@countersign/spiffe'
import type { Administrator } from '../admin/administrator.ts'
import { requireHeldOfClients } from '../admin/mightier-clients.ts'
import { hasName } from '../client-auth/tls-client-auth.ts'
import type { Database } from '../storage/store.ts'

/**
 * Whoever gets a certificate by which a client is known (tls_client_auth) can become that client.
 * @throws Problem `insufficient_scope`
 */
export async function requireHeldOfNamed(
  leaf: Certificate,
  database: Database,
  administrator: Administrator,
): Promise<void> {
  if (leaf.extendedKeyUsage?.has('client') === false) return
  await requireHeldOfClients(
    database,
    administrator,
    ({ tlsClientAuth }) => tlsClientAuth !== undefined && hasName(leaf, tlsClientAuth),
  )
}
