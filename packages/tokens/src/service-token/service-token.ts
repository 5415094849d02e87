import type { ParsedJws } from '../jwt/parse-jwt.ts'
import { verifySignature } from '../jwt/verify-signature.ts'
import type { VerificationKey } from '../keys/public-jwk.ts'
import { jwkThumbprint } from '../keys/thumbprint.ts'
import { hasType } from '../oauth/claim-checks.ts'
import { quoted, TokenError } from '../token-error.ts'
import type { CallBinding } from './call-binding.ts'
import { checkBinding } from './check-binding.ts'
import { checkEdwards, checkServiceForm, edwardsAlgorithms, readSender } from './service-claims.ts'
import { checkServiceTimes } from './service-times.ts'

export interface ServiceTokenRules {
  /** The names of this receiver, one of which is the token's audience. */
  audiences: readonly string[]
  /** The call as it was received. */
  binding: CallBinding
  /** How far clocks may differ, 0 to 60. Default 10. */
  leewaySeconds?: number
  /** Refuse tokens that live longer. Default, and at most, 900. */
  maximumLifetimeSeconds?: number
}

/** The claims of a verified service token. */
export interface ServiceTokenClaims {
  iss: string
  sub: string
  /** The full name of the service that made the call, `order-service`. */
  sender: string
  aud: string
  jti: string
  iat: number
  exp: number
  tenant?: string
  req: object
  [name: string]: unknown
}

/** Whether the token calls itself a service token (`typ: m2m+jwt`); then it is checked as one and as nothing else. */
export function isServiceToken(parsed: ParsedJws): boolean {
  return hasType(parsed, 'm2m+jwt')
}

/**
 * The short name of the service that the token says it is from, whose keys are to be looked up. Nothing is proven yet.
 * Throws `wrong_type`, `unsupported_algorithm`, `invalid_claim` or `wrong_issuer`.
 */
export function serviceTokenSender(parsed: ParsedJws): string {
  if (!isServiceToken(parsed)) {
    throw new TokenError(
      'wrong_type',
      `a service token has the type "m2m+jwt", not ${quoted(parsed.header.typ)}`,
      'typ',
    )
  }
  checkEdwards(parsed)
  if (!thumbprint.test(parsed.header.kid ?? '')) {
    throw new TokenError('unknown_key', 'the key id is missing or not the thumbprint of a key (RFC 7638)', 'kid')
  }
  return readSender(parsed, ['iss', 'sub'])
}

/**
 * The claims of a service token, all of it checked: form, signature, times, audience, binding. Who may call and whether
 * the `jti` is new is for the receiver to ask next. `now` is in seconds since the epoch.
 * Throws what `serviceTokenSender` throws, and `unknown_key`, `invalid_signature`, `expired_token`,
 * `token_not_yet_valid`, `wrong_audience`, `binding_mismatch`.
 */
export function checkServiceToken(
  parsed: ParsedJws,
  key: VerificationKey,
  rules: ServiceTokenRules,
  now: number,
): ServiceTokenClaims {
  serviceTokenSender(parsed)
  checkServiceForm(parsed)
  if (parsed.header.kid !== jwkThumbprint(key.jwk)) {
    throw new TokenError('unknown_key', 'the key id is not the thumbprint of the key', 'kid')
  }
  verifySignature(parsed, key, edwardsAlgorithms)
  const claims = parsed.claims as ServiceTokenClaims
  checkServiceTimes(parsed.claims, rules, now)
  // One text, no list: each of several receivers would take the token for unused.
  if (!rules.audiences.includes(claims.aud)) {
    throw new TokenError('wrong_audience', `the token is for ${quoted(claims.aud)}, not for this receiver`, 'aud')
  }
  checkBinding(claims.req, rules.binding)
  return claims
}

/**
 * When the token was signed, in seconds with a fraction: from a UUIDv7 `jti` that agrees with `iat`, else the end of the
 * second that `iat` names.
 */
export function serviceTokenIssuedAt(claims: ServiceTokenClaims): number {
  const { iat, jti } = claims
  if (!Number.isInteger(iat)) return iat
  if (uuidVersion7.test(jti)) {
    const milliseconds = Number.parseInt(jti.slice(0, 8) + jti.slice(9, 13), 16)
    if (Math.floor(milliseconds / 1000) === iat) return milliseconds / 1000
  }
  return iat + 0.999
}

const thumbprint = /^[\w-]{43}$/
const uuidVersion7 = /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/i
