import { parameter } from '../token-endpoint/form.ts'
import { OAuthError } from '../token-endpoint/oauth-error.ts'
import type { ClientAuthMethod } from './client-auth-method.ts'
import { authenticateBySecret } from './client-secret.ts'

/** RFC 6749 section 2.3.1: id and secret in the form. */
export const clientSecretPost: ClientAuthMethod = {
  name: 'client_secret_post',
  isPresented: ({ form }) => form.has('client_secret'),
  authenticate({ form }, context) {
    const id = parameter(form, 'client_id')
    const secret = parameter(form, 'client_secret')
    if (!id || !secret) throw new OAuthError('invalid_request', 'client_secret comes without client_id')
    return authenticateBySecret('client_secret_post', id, secret, context)
  },
}
