import type { FastifyInstance } from 'fastify'
import type { AuditFact } from '../audit/event.ts'
import type { VerificationLog } from '../audit/verification-log.ts'
import { authenticateClient } from '../client-auth/authenticate-client.ts'
import type { AuthenticatedClient, ClientAuthContext, ClientRequest } from '../client-auth/client-auth-method.ts'
import { type RefusalContext, recordCountedRefusal } from '../client-auth/record-refusal.ts'
import { type OAuthRoutesOptions, oauthEndpoint } from '../http/oauth.ts'
import { parameter } from '../token-endpoint/form.ts'
import { OAuthError } from '../token-endpoint/oauth-error.ts'
import { type Introspection, introspect, type OwnToken, type OwnTokenContext, readOwnToken } from './introspect.ts'

export type IntrospectionContext = ClientAuthContext &
  RefusalContext &
  OwnTokenContext & { verifications: Pick<VerificationLog, 'record'> }

/** `POST /oauth/introspect` (RFC 7662) */
export function introspectionRoutes(app: FastifyInstance, options: OAuthRoutesOptions<IntrospectionContext>): void {
  const { context } = options
  oauthEndpoint(app, {
    ...options,
    path: '/oauth/introspect',
    answer: async (request) => {
      const body = await answerIntrospection(request, context)
      return { body, outcome: body.active ? 'active' : 'inactive' }
    },
    onMalformed: (error, address) =>
      recordCountedRefusal(error, 'introspection.refused', { address }, undefined, context),
  })
}

/** @throws OAuthError, StoreError `unavailable` */
export async function answerIntrospection(
  request: ClientRequest,
  context: IntrospectionContext,
): Promise<Introspection> {
  let authenticated: AuthenticatedClient | undefined
  try {
    authenticated = await authenticateClient(request, context)
    const text = parameter(request.form, 'token')
    if (text === undefined) throw new OAuthError('invalid_request', 'token is missing')
    const token = await readOwnToken(text, context)
    const answer = await answerFor(token, authenticated, context)
    const { client, method, credentialId: credential } = authenticated
    const { aud: audience, jti } = token?.claims ?? {}
    const asked = { client_id: client.id, address: request.address, method, credential, audience, jti }
    if (answer === 'not_for_this_client') {
      await recordForeign(asked, request.address, context)
      return { active: false }
    }
    const { active } = answer
    await context.verifications.record({ type: 'token.introspected', outcome: 'success', ...asked, detail: { active } })
    return answer
  } catch (error) {
    throw await recordCountedRefusal(error, 'introspection.refused', request, authenticated, context)
  }
}

function answerFor(
  token: OwnToken | undefined,
  { client }: AuthenticatedClient,
  context: IntrospectionContext,
): Introspection | Promise<Introspection | 'not_for_this_client'> {
  if (!token) return { active: false }
  const isOwn = token.claims.client_id === client.id
  return introspect(token, context, (introspectors) => isOwn || introspectors.includes(client.id))
}

/** Also counts against the address: whoever tries others' tokens is slowed like whoever guesses. */
async function recordForeign(
  asked: Omit<AuditFact, 'type' | 'outcome'>,
  address: string,
  context: IntrospectionContext,
) {
  await context.limits.afterFailure(address)
  await context.audit.record({
    type: 'introspection.refused',
    outcome: 'failure',
    ...asked,
    reason: `the token is another client's, and "${asked.client_id}" is not among the introspectors of its API`,
  })
}
