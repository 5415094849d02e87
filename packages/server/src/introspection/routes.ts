import type { FastifyInstance, FastifyRequest } from 'fastify'
import { authenticateClient } from '../client-auth/authenticate-client.ts'
import type { AuthenticatedClient, ClientAuthContext, ClientRequest } from '../client-auth/client-auth-method.ts'
import { type RefusalContext, recordRefusal } from '../client-auth/record-refusal.ts'
import { oauthEndpoint } from '../http/oauth.ts'
import { parameter } from '../token-endpoint/form.ts'
import { OAuthError } from '../token-endpoint/oauth-error.ts'
import { type Introspection, introspect, type OwnTokenContext, readOwnToken } from './introspect.ts'

export type IntrospectionContext = ClientAuthContext & RefusalContext & OwnTokenContext

export interface IntrospectionRoutesOptions {
  context: IntrospectionContext
  addressOf: (request: FastifyRequest) => string
  onOutcome: (outcome: string) => void
  assertionRefusalMilliseconds?: number | undefined
}

/** `POST /oauth/introspect` (RFC 7662) */
export function introspectionRoutes(app: FastifyInstance, options: IntrospectionRoutesOptions): void {
  const { context, addressOf, onOutcome, assertionRefusalMilliseconds } = options
  oauthEndpoint(app, {
    path: '/oauth/introspect',
    addressOf,
    answer: async (request) => {
      const body = await answerIntrospection(request, context)
      return { body, outcome: body.active ? 'active' : 'inactive' }
    },
    onMalformed: (error, address) => refuse(error, { address }, undefined, context),
    onOutcome,
    assertionRefusalMilliseconds,
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
    if (!token) return { active: false }
    const asking = authenticated.client.id
    const answer = await introspect(
      token,
      context,
      (introspectors) => token.claims.client_id === asking || introspectors.includes(asking),
    )
    if (answer !== 'not_for_this_client') return answer
    await recordForeign(request, authenticated, token.claims, context)
    return { active: false }
  } catch (error) {
    throw await refuse(error, request, authenticated, context)
  }
}

/** Also counts against the address: whoever tries others' tokens is slowed like whoever guesses. */
async function recordForeign(
  { address }: ClientRequest,
  { client, method, credentialId }: AuthenticatedClient,
  { aud, jti }: { aud: string; jti: string },
  context: IntrospectionContext,
): Promise<void> {
  await context.limits.afterFailure(address)
  await context.audit.record({
    type: 'introspection.refused',
    outcome: 'failure',
    client_id: client.id,
    address,
    method,
    credential: credentialId,
    audience: aud,
    jti,
    reason: `the token is another client's, and "${client.id}" is not among the introspectors of its API`,
  })
}

/** Only failures are limited here, so every refusal counts as one: each writes a row. */
async function refuse(
  error: unknown,
  request: Pick<ClientRequest, 'address'> & Partial<ClientRequest>,
  authenticated: AuthenticatedClient | undefined,
  context: IntrospectionContext,
): Promise<unknown> {
  if (error instanceof OAuthError && error.status !== 429) await context.limits.afterFailure(request.address)
  return recordRefusal(error, 'introspection.refused', request, authenticated, context)
}
