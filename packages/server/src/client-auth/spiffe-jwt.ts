import { type JwtSvid, SpiffeError, verifyJwtSvid } from '@countersign/spiffe'
import { parameter } from '../token-endpoint/form.ts'
import { OAuthError } from '../token-endpoint/oauth-error.ts'
import { type ClientAuthContext, ClientAuthFailure, type ClientAuthMethod } from './client-auth-method.ts'
import { spiffeAssertionType } from './spiffe-assertion-type.ts'
import { isWorkloadOf } from './spiffe-clients.ts'

const method = 'spiffe_jwt'
/** For the times when it was issued. When it ends it has ended. */
const leewaySeconds = 30
const longestAssertion = 8192

/**
 * A JWT-SVID as client assertion (draft-ietf-oauth-spiffe-client-auth section 3.1). It may be used again until it ends: workloads get
 * the same one from their agent; so it must be for the issuer and for nobody else, who could bring it here.
 */
export const spiffeJwt: ClientAuthMethod = {
  name: method,
  isPresented: ({ form }) => parameter(form, 'client_assertion_type') === spiffeAssertionType,
  async authenticate({ form }, context) {
    const id = parameter(form, 'client_id')
    const token = parameter(form, 'client_assertion')
    if (!token) throw new OAuthError('invalid_request', 'client_assertion is missing')
    if (!id) throw new OAuthError('invalid_request', 'client_id is missing: a JWT-SVID does not name the client')
    const fail = (reason: string) => new ClientAuthFailure(method, id, reason)
    const client = await context.findClient(id)
    const svid = verified(token, context, fail)
    if (!client) throw fail('there is no client with this id')
    if (client.disabled) throw fail('the client is disabled')
    if (client.authMethods && !client.authMethods.includes(method)) throw fail(`the client may not use ${method}`)
    if (!isWorkloadOf(client, svid.id)) throw fail(`${svid.id} is not among the client's spiffe_ids`)
    return {
      client,
      method,
      credentialId: svid.id.toString().slice(0, 256),
      credentialExpiresAt: Math.floor(svid.expiresAt),
      isHeldBy: (now) => isWorkloadOf(now, svid.id),
    }
  },
}

function verified(token: string, context: ClientAuthContext, fail: (reason: string) => ClientAuthFailure): JwtSvid {
  const { bundles, issuer, revocations } = context
  const now = context.now()
  if (!bundles) throw fail('this server has no trust domain (spiffe.trust_domain)')
  if (token.length > longestAssertion) throw fail(`the assertion has more than ${longestAssertion} characters`)
  let svid: JwtSvid
  try {
    svid = verifyJwtSvid(token, { audience: issuer, bundles, now, leewaySeconds })
  } catch (error) {
    if (!(error instanceof SpiffeError)) throw error
    throw fail(error.message)
  }
  if (svid.audience.length !== 1)
    throw fail('the JWT-SVID has other audiences than the issuer, who could bring it here')
  if (svid.expiresAt <= now) throw fail('the JWT-SVID has expired')
  const { keyId: kid, claims } = svid
  const { jti } = claims
  if (revocations.isRevokedJwtSvid({ ...(typeof jti === 'string' && { jti }), ...(kid !== undefined && { kid }) })) {
    throw fail(`the JWT-SVID of ${svid.id} has ended`)
  }
  return svid
}
