import type { TlsClientAuth } from '../clients/client.ts'
import { readTlsClientAuth } from '../clients/tls-client-auth.ts'
import type { Database } from '../storage/store.ts'
import { adminAudience } from './admin-scopes.ts'
import { type Administrator, requireHeld } from './administrator.ts'

/** A client that is known by names, and holds more of the admin API than somebody else does. */
export interface MightierClient {
  spiffeIds: readonly string[]
  tlsClientAuth: TlsClientAuth | undefined
  scopes: readonly string[]
}

/**
 * Whoever can have a certificate made with the name by which an administrating client is known becomes that client, so
 * making one takes every scope of the admin API that this client holds.
 * @param isNamed whether what is made would be taken for that client's
 * @throws Problem `insufficient_scope`
 */
export async function requireHeldOfNamed(
  database: Database,
  administrator: Administrator,
  isNamed: (client: MightierClient) => boolean | Promise<boolean>,
): Promise<void> {
  const { holds } = administrator
  if (holds === undefined) return
  for (const client of await namedAdministrators(database)) {
    const isMightier = client.scopes.some((scope) => !holds.includes(scope))
    if (isMightier && (await isNamed(client))) requireHeld(client.scopes, administrator)
  }
}

async function namedAdministrators(database: Database): Promise<MightierClient[]> {
  const rows = await database
    .selectFrom('client_grants')
    .innerJoin('apis', 'apis.id', 'client_grants.api_id')
    .innerJoin('clients', 'clients.id', 'client_grants.client_id')
    .select(['clients.spiffe_ids', 'clients.tls_client_auth', 'client_grants.scopes'])
    .where('apis.audience', '=', adminAudience)
    .where((row) => row.or([row('clients.spiffe_ids', '!=', '[]'), row('clients.tls_client_auth', 'is not', null)]))
    .execute()
  return rows.map(({ spiffe_ids, tls_client_auth, scopes }) => ({
    spiffeIds: JSON.parse(spiffe_ids),
    tlsClientAuth: tls_client_auth === null ? undefined : readTlsClientAuth(JSON.parse(tls_client_auth)),
    scopes: JSON.parse(scopes),
  }))
}
