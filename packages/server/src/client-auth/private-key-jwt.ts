import {
  assertionClientId,
  checkClientAssertion,
  type ParsedJws,
  parseJwt,
  selectKey,
  TokenError,
  type VerificationAlgorithm,
  type VerificationKey,
  verifySignature,
} from '@countersign/tokens'
import type { ClientRecord } from '../clients/client.ts'
import { parameter } from '../token-endpoint/form.ts'
import { OAuthError } from '../token-endpoint/oauth-error.ts'
import { type ClientAuthContext, ClientAuthFailure, type ClientAuthMethod } from './client-auth-method.ts'
import { spiffeAssertionType } from './spiffe-assertion-type.ts'

const method = 'private_key_jwt'
const assertionType = 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer'
const leewaySeconds = 30
/** Bounds how long each used assertion must be remembered. Authlib's live an hour, which its users cannot change. */
const longestLifetimeSeconds = 3600
/** Of an assertion without `iat`: nobody can tell how long ago it may have been used. */
const longestUndatedSeconds = 600

export const assertionAlgorithms: readonly VerificationAlgorithm[] = [
  'ES256',
  'ES384',
  'ES512',
  'EdDSA',
  'Ed25519',
  'PS256',
  'PS384',
  'PS512',
  'RS256',
  'RS384',
  'RS512',
]

/** RFC 7523 section 2.2, with `aud` as RFC 7523bis demands: the issuer and nothing else. */
export const privateKeyJwt: ClientAuthMethod = {
  name: method,
  isPresented: ({ form }) =>
    (form.has('client_assertion') || form.has('client_assertion_type')) &&
    parameter(form, 'client_assertion_type') !== spiffeAssertionType,
  async authenticate({ form }, context) {
    const token = parameter(form, 'client_assertion')
    if (!token || parameter(form, 'client_assertion_type') !== assertionType) {
      throw new OAuthError('invalid_request', `client_assertion comes with client_assertion_type ${assertionType}`)
    }
    const parsed = parse(token)
    const id = assertionClientId(parsed)
    const client = id === undefined ? undefined : await context.findClient(id)
    const fail = (reason: string) => new ClientAuthFailure(method, id ?? parameter(form, 'client_id'), reason)
    if (!client || id === undefined) throw fail('there is no client with the id in iss and sub')
    const { key, credentialId } = await keyOf(client, parsed, context)
    if (!key) throw fail('no key of this client fits the kid and alg of the assertion')
    try {
      verifySignature(parsed, key, assertionAlgorithms)
      const { jti, expiresAt } = checkClientAssertion(parsed, rulesFor(client, parsed, context), context.now())
      if (client.disabled) throw fail('the client is disabled')
      if (client.authMethods && !client.authMethods.includes(method)) throw fail(`the client may not use ${method}`)
      const issuedAt = issueTime(parsed, expiresAt)
      if (!(await context.assertions.firstUse(`${client.id}\n${jti}`, expiresAt + leewaySeconds, issuedAt))) {
        throw fail(
          'the assertion was used before, or is older than the memory of used ones (a restored store, an empty Redis)',
        )
      }
    } catch (error) {
      throw error instanceof TokenError ? fail(error.message) : error
    }
    context.onCredentialUsed('key', credentialId)
    return { client, method, credentialId }
  },
}

function parse(token: string): ParsedJws {
  try {
    return parseJwt(token, { maximumLength: 8192 })
  } catch (error) {
    throw new ClientAuthFailure(method, undefined, (error as Error).message)
  }
}

async function keyOf(
  client: ClientRecord,
  { header }: ParsedJws,
  context: ClientAuthContext,
): Promise<{ key: VerificationKey | undefined; credentialId: string }> {
  const inline = selectKey(
    client.keys.map(({ key }) => key),
    header,
  )
  if (inline) {
    return { key: inline, credentialId: client.keys.find(({ key }) => key === inline)?.id ?? '' }
  }
  if (!client.jwksUri) return { key: undefined, credentialId: '' }
  try {
    const key = await context.remoteKeys(client.jwksUri).keyFor(header)
    return { key, credentialId: `jwks_uri#${header.kid ?? ''}`.slice(0, 128) }
  } catch (error) {
    throw new ClientAuthFailure(
      method,
      client.id,
      `the client's jwks_uri could not be read: ${(error as Error).message}`,
    )
  }
}

/** Where an assertion does not say when it was issued, it counts from the earliest that it could have been used. */
function issueTime({ claims }: ParsedJws, expiresAt: number): number {
  return typeof claims.iat === 'number' ? claims.iat : expiresAt - longestUndatedSeconds
}

function rulesFor(client: ClientRecord, { claims }: ParsedJws, context: ClientAuthContext) {
  const audiences =
    client.assertionAudience === 'token_endpoint' ? [context.issuer, context.tokenEndpoint] : [context.issuer]
  const maximumLifetimeSeconds = claims.iat === undefined ? longestUndatedSeconds : longestLifetimeSeconds
  return { clientId: client.id, audiences, leewaySeconds, maximumLifetimeSeconds }
}
