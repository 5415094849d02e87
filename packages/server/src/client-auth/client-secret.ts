import { matchClientSecret } from '../clients/secret-hash.ts'
import { type AuthenticatedClient, type ClientAuthContext, ClientAuthFailure } from './client-auth-method.ts'

/** What Basic and post have in common once they have found the id and the secret. */
export async function authenticateBySecret(
  method: string,
  id: string,
  secret: string,
  context: ClientAuthContext,
): Promise<AuthenticatedClient> {
  const found = context.findClient(id)
  const client = found instanceof Promise ? await found : found
  const match = matchClientSecret(secret, client?.secrets ?? [], context.clientSecretKey, context.now())
  if (!client) throw new ClientAuthFailure(method, id, 'there is no client with this id')
  if (client.disabled) throw new ClientAuthFailure(method, id, 'the client is disabled')
  if (!match) {
    throw new ClientAuthFailure(
      method,
      id,
      client.secrets.length === 0 ? 'the client has no secret' : 'the secret is wrong, expired or revoked',
    )
  }
  if (client.authMethods && !client.authMethods.includes(method)) {
    throw new ClientAuthFailure(method, id, `the client may not use ${method}`)
  }
  context.onCredentialUsed('secret', match.id)
  return { client, method, credentialId: match.id }
}
