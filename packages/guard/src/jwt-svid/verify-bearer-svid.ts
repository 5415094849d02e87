import { type JwtSvid, SpiffeError, verifyJwtSvid } from '@countersign/spiffe'
import { boundThumbprint, type VerifiedToken } from '../access-token.ts'
import { deepFreeze } from '../caller.ts'
import { bundlesUnavailable, notAllowed } from '../mtls/certificate-refusal.ts'
import { type Refusal, Refused } from '../refusal.ts'
import type { JwtSvidSettings } from './jwt-svid-options.ts'

/** Whether a token calls itself an access token (RFC 9068): it is then never looked at as a JWT-SVID, nor the other way round. */
export function isAccessTokenType(type: string | undefined): boolean {
  return /^(application\/)?at\+jwt$/i.test(type ?? '')
}

/** The caller behind a JWT-SVID. Throws Refused. `now` in seconds since the epoch. */
export function verifyBearerSvid(
  token: string,
  settings: JwtSvidSettings,
  { now, leewaySeconds }: { now: number; leewaySeconds: number },
): VerifiedToken {
  const svid = verified(token, settings, now, leewaySeconds)
  const spiffeId = svid.id.toString()
  const clientId = settings.allow.allowsId(svid.id) ? settings.clientOf({ spiffeId }) : undefined
  if (clientId === undefined) throw new Refused(notAllowed)
  const { jti } = svid.claims
  const caller = deepFreeze({
    method: 'jwt_svid' as const,
    clientId,
    subject: spiffeId,
    scopes: [...settings.scopesOf(clientId)],
    audience: settings.audiences.find((name) => svid.audience.includes(name))!,
    issuer: `spiffe://${svid.id.trustDomain}`,
    credentialId: svid.keyId ?? '',
    ...(typeof jti === 'string' ? { tokenId: jti } : {}),
    spiffeId,
    expiresAt: svid.expiresAt,
    claims: svid.claims,
  })
  return {
    caller,
    boundTo: boundThumbprint(svid.claims.cnf),
    revocableSvid: { kid: svid.keyId, ...(typeof jti === 'string' ? { jti } : {}) },
    expiresAt: svid.expiresAt,
  }
}

function verified(token: string, { audiences, bundles }: JwtSvidSettings, now: number, leewaySeconds: number): JwtSvid {
  try {
    return verifyJwtSvid(token, { audience: audiences, bundles, now, leewaySeconds })
  } catch (error) {
    if (!(error instanceof SpiffeError)) throw error
    throw new Refused({ ...refusalOf(error), cause: error })
  }
}

function refusalOf({ code }: SpiffeError): Refusal {
  if (code === 'unavailable') return bundlesUnavailable
  if (code === 'expired_svid') return refused('expired_token', 'The JWT-SVID has expired; get a new one.')
  if (code === 'untrusted_svid')
    return refused('untrusted_svid', 'The JWT-SVID is not signed by a trust domain that is trusted here.')
  return refused('invalid_svid', 'The JWT-SVID does not hold, or is for another audience.')
}

function refused(reason: string, message: string): Refusal {
  return { code: 'invalid_token', reason, message }
}
