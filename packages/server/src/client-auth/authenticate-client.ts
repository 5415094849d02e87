import { parameter } from '../token-endpoint/form.ts'
import { OAuthError } from '../token-endpoint/oauth-error.ts'
import {
  type AuthenticatedClient,
  type ClientAuthContext,
  ClientAuthFailure,
  type ClientRequest,
} from './client-auth-method.ts'
import { clientAuthMethods } from './client-auth-methods.ts'

/**
 * Finds the one credential in a request and has its method prove it.
 * @throws OAuthError `invalid_request` (several methods, two ids), ClientAuthFailure (wrong or none)
 */
export async function authenticateClient(
  request: ClientRequest,
  context: ClientAuthContext,
): Promise<AuthenticatedClient> {
  const presented = clientAuthMethods.filter((method) => method.isPresented(request))
  const [method, another] = presented
  if (another) {
    throw new OAuthError('invalid_request', 'the request uses more than one way to authenticate the client', {
      reason: `methods presented together: ${presented.map(({ name }) => name).join(', ')}`,
    })
  }
  const claimed = parameter(request.form, 'client_id')
  if (!method) throw new ClientAuthFailure('none', claimed, 'the request carries no client credential')
  const authenticated = await method.authenticate(request, context)
  if (claimed !== undefined && claimed !== authenticated.client.id) {
    throw new OAuthError('invalid_request', 'client_id is not the client that the credential belongs to')
  }
  return authenticated
}
