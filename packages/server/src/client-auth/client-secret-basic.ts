import { decodeFormText } from '../token-endpoint/form.ts'
import { OAuthError } from '../token-endpoint/oauth-error.ts'
import { ClientAuthFailure, type ClientAuthMethod } from './client-auth-method.ts'
import { authenticateBySecret } from './client-secret.ts'

/** RFC 6749 section 2.3.1: id and secret, each form-encoded, in an `Authorization: Basic` header. */
export const clientSecretBasic: ClientAuthMethod = {
  name: 'client_secret_basic',
  isPresented: ({ authorization }) => authorization !== undefined,
  authenticate(request, context) {
    const { id, secret } = parseBasic(request.authorization ?? '')
    return authenticateBySecret('client_secret_basic', id, secret, context)
  },
}

function parseBasic(authorization: string): { id: string; secret: string } {
  const match = /^basic +([A-Za-z0-9+/]+={0,2})$/i.exec(authorization)
  if (!match?.[1]) {
    if (/^basic\b/i.test(authorization)) throw new OAuthError('invalid_request', 'the Basic credentials are malformed')
    throw new ClientAuthFailure('client_secret_basic', undefined, 'the Authorization header is not of the Basic scheme')
  }
  const decoded = Buffer.from(match[1], 'base64').toString('utf8')
  const colon = decoded.indexOf(':')
  if (colon < 0) throw new OAuthError('invalid_request', 'the Basic credentials are malformed')
  return { id: decodeFormText(decoded.slice(0, colon)), secret: decodeFormText(decoded.slice(colon + 1)) }
}
