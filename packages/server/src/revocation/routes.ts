import type { FastifyInstance } from 'fastify'
import type { Authority } from '../authority.ts'
import { authenticateClient } from '../client-auth/authenticate-client.ts'
import type { AuthenticatedClient, ClientAuthContext, ClientRequest } from '../client-auth/client-auth-method.ts'
import { type RefusalContext, recordCountedRefusal } from '../client-auth/record-refusal.ts'
import { type OAuthRoutesOptions, oauthEndpoint } from '../http/oauth.ts'
import { readOwnToken } from '../introspection/introspect.ts'
import { parameter } from '../token-endpoint/form.ts'
import { OAuthError } from '../token-endpoint/oauth-error.ts'
import { isToldRevoked, revokeToken } from './revoke.ts'

export type RevocationContext = ClientAuthContext & RefusalContext & { authority: Authority }

/** `POST /oauth/revoke` (RFC 7009) */
export function revocationRoutes(app: FastifyInstance, options: OAuthRoutesOptions<RevocationContext>): void {
  const { context } = options
  oauthEndpoint(app, {
    ...options,
    path: '/oauth/revoke',
    answer: async (request) => ({ outcome: await answerRevocation(request, context) }),
    onMalformed: (error, address) => recordCountedRefusal(error, 'revocation.refused', { address }, undefined, context),
  })
}

/**
 * `token_type_hint` is not looked at: there is one type of token here, and RFC 7009 section 2.1 has a wrong hint do no
 * harm. What is no living token of ours cannot be revoked any more, which section 2.2 calls a success.
 * @throws OAuthError, StoreError `unavailable`
 */
export async function answerRevocation(
  request: ClientRequest,
  context: RevocationContext,
): Promise<'revoked' | 'nothing_to_revoke'> {
  let authenticated: AuthenticatedClient | undefined
  try {
    authenticated = await authenticateClient(request, context)
    const text = parameter(request.form, 'token')
    if (text === undefined) throw new OAuthError('invalid_request', 'token is missing')
    const token = await readOwnToken(text, context.authority)
    if (!token) return 'nothing_to_revoke'
    const { client, credentialId } = authenticated
    const { client_id, jti, exp, aud } = token.claims
    if (client_id !== client.id) {
      throw new OAuthError('invalid_grant', 'the token was issued to another client', {
        reason: `the token ${jti.slice(0, 64)} was issued to "${client_id.slice(0, 128)}"`,
      })
    }
    // Once is enough: asked again and again it would only fill the audit log.
    const own = { jti, expiresAt: Math.ceil(exp), audience: aud }
    if (await isToldRevoked(own, context.authority)) return 'revoked'
    await revokeToken({ ...own, clientId: client_id }, context.authority, {
      client_id: client.id,
      address: request.address,
      credential: credentialId,
    })
    return 'revoked'
  } catch (error) {
    throw await recordCountedRefusal(error, 'revocation.refused', request, authenticated, context)
  }
}
