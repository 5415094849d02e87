import type { ClientRecord } from '../clients/client.ts'
import { type AuthenticatedClient, type ClientAuthContext, ClientAuthFailure } from './client-auth-method.ts'

/**
 * The authenticated client as it is now. Proving itself may have taken seconds, which the client itself can draw out
 * where its keys are fetched from its own server: it may have been disabled, or lost its credential, meanwhile.
 * @throws ClientAuthFailure
 */
export async function stillProven(
  authenticated: AuthenticatedClient,
  { findClient }: Pick<ClientAuthContext, 'findClient'>,
): Promise<AuthenticatedClient> {
  const { client: before, method } = authenticated
  const client = await findClient(before.id)
  if (client === before) return authenticated
  if (!client || client.disabled || !mayStill(client, authenticated)) {
    throw new ClientAuthFailure(method, before.id, 'the client was disabled or lost this credential meanwhile')
  }
  return { ...authenticated, client }
}

function mayStill(
  client: ClientRecord,
  { client: before, method, credentialId, isHeldBy }: AuthenticatedClient,
): boolean {
  if (client.authMethods && !client.authMethods.includes(method)) return false
  if (isHeldBy) return isHeldBy(client)
  const isRegistered = [...client.secrets, ...client.keys].some(({ id }) => id === credentialId)
  const isFetched = client.jwksUri !== undefined && credentialId.startsWith('jwks_uri#')
  return isRegistered || (isFetched && client.jwksUri === before.jwksUri)
}
