import { randomUUID } from 'node:crypto'
import { setTimeout } from 'node:timers/promises'
import { formatScope, type Signer, type SigningAlgorithm } from '@countersign/tokens'
import type { AuditFact } from '../audit/event.ts'
import { authenticateClient } from '../client-auth/authenticate-client.ts'
import type { AuthenticatedClient, ClientAuthContext, ClientRequest } from '../client-auth/client-auth-method.ts'
import { recordRefusal } from '../client-auth/record-refusal.ts'
import { stillProven } from '../client-auth/still-proven.ts'
import type { TokenContent } from '../grants/grant-type.ts'
import { grantTypes } from '../grants/grant-types.ts'
import type { Revocations } from '../revocation/revocations.ts'
import { parameter } from './form.ts'
import { OAuthError } from './oauth-error.ts'

export interface TokenContext extends ClientAuthContext {
  signerFor: (algorithm: SigningAlgorithm) => Signer
  audit: { record(fact: AuditFact): Promise<void> }
  limits: TokenLimits
  revocations: ClientAuthContext['revocations'] & Pick<Revocations, 'isRevokedClient'>
}

/** Throws OAuthError 429 when a limit is reached; see `token-limits.ts`. */
export interface TokenLimits {
  beforeAuthentication(address: string): void | Promise<void>
  afterFailure(address: string): void | Promise<void>
  afterAuthentication(clientId: string, address: string): RateHeaders | Promise<RateHeaders>
}

export type RateHeaders = Record<string, string>

export interface IssuedToken {
  access_token: string
  token_type: 'Bearer'
  expires_in: number
  scope?: string
}

/**
 * Answers one request to the token endpoint that its address's limit has let in.
 * @throws OAuthError for the caller to be told; StoreError `unavailable` when nothing may be issued
 */
export async function issueToken(
  request: ClientRequest,
  context: TokenContext,
): Promise<{ token: IssuedToken; headers: RateHeaders }> {
  let authenticated: AuthenticatedClient | undefined
  try {
    const grantType = grantTypeOf(request)
    authenticated = await authenticateClient(request, context)
    const headers = await context.limits.afterAuthentication(authenticated.client.id, request.address)
    await pastRevocation(authenticated.client.id, context)
    authenticated = await stillProven(authenticated, context)
    const content = grantType.decide(request.form, authenticated)
    const { token, jti } = sign(content, authenticated, context)
    await context.audit.record(tokenIssued(request, authenticated, content, jti))
    return { token, headers }
  } catch (error) {
    throw await recordRefusal(error, 'token.refused', request, authenticated, context)
  }
}

/**
 * Waits out the second up to which the client's tokens were revoked: one of that very second would be dead at birth, and
 * its owner none the wiser. Not for longer, whatever another replica's clock says.
 */
async function pastRevocation(clientId: string, { revocations, now }: TokenContext): Promise<void> {
  for (let waits = 0; waits < 12 && revocations.isRevokedClient(clientId, now()); waits++) await setTimeout(100)
}

function grantTypeOf({ form }: ClientRequest) {
  const name = parameter(form, 'grant_type')
  if (!name) throw new OAuthError('invalid_request', 'grant_type is missing')
  const grantType = grantTypes.find((type) => type.name === name)
  if (!grantType)
    throw new OAuthError('unsupported_grant_type', `use grant_type ${grantTypes.map((type) => type.name).join(' or ')}`)
  return grantType
}

/** RFC 9068 section 2.2. */
function sign(content: TokenContent, authenticated: AuthenticatedClient, context: TokenContext) {
  const { client, certificateThumbprint, credentialExpiresAt = Number.POSITIVE_INFINITY } = authenticated
  const issuedAt = context.now()
  const lifetimeSeconds = Math.max(1, Math.min(content.lifetimeSeconds, credentialExpiresAt - issuedAt))
  const jti = randomUUID()
  const scope = formatScope(content.scopes)
  const token: IssuedToken = {
    access_token: context.signerFor(content.signingAlgorithm).sign({
      iss: context.issuer,
      sub: content.subject,
      client_id: client.id,
      aud: content.audience,
      scope: scope === '' ? undefined : scope,
      iat: issuedAt,
      exp: issuedAt + lifetimeSeconds,
      jti,
      cnf: certificateThumbprint === undefined ? undefined : { 'x5t#S256': certificateThumbprint },
    }),
    token_type: 'Bearer',
    expires_in: lifetimeSeconds,
    scope: scope === '' ? undefined : scope,
  }
  return { token, jti }
}

function tokenIssued(
  request: ClientRequest,
  { client, method, credentialId, certificateThumbprint }: AuthenticatedClient,
  { audience, scopes }: TokenContent,
  jti: string,
): AuditFact {
  return {
    type: 'token.issued',
    outcome: 'success',
    client_id: client.id,
    address: request.address,
    method,
    credential: credentialId,
    audience,
    scope: formatScope(scopes),
    jti,
    ...(certificateThumbprint !== undefined && { detail: { certificate: certificateThumbprint } }),
  }
}
