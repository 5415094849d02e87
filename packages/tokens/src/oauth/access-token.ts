import type { VerificationAlgorithm } from '../algorithms.ts'
import type { ParsedJws } from '../jwt/parse-jwt.ts'
import { quoted, TokenError } from '../token-error.ts'
import {
  checkAudience,
  checkIssuer,
  checkNotBefore,
  checkNotExpired,
  hasType,
  readAudience,
  readText,
  readTime,
} from './claim-checks.ts'
import { isScopeText } from './scope.ts'

export interface AccessTokenRules {
  /** Exactly as the issuer writes it, trailing slash included. */
  issuer: string
  /** The names of this API, one of which the token must carry. */
  audiences: readonly string[]
  /** Algorithms that are accepted; checked here too when given. */
  algorithms?: readonly VerificationAlgorithm[]
  /** How far clocks may differ, 0 to 60. Default 0. */
  leewaySeconds?: number
  /** Refuse tokens that live longer, from `iat` to `exp`. */
  maximumLifetimeSeconds?: number
}

/** The claims of an access token (RFC 9068 section 2.2). */
export interface AccessTokenClaims {
  iss: string
  sub: string
  client_id: string
  aud: string | string[]
  scope?: string
  iat: number
  exp: number
  jti: string
  /** What the token is bound to (RFC 7800), such as `jkt` or `x5t#S256`. */
  cnf?: Record<string, unknown>
  [name: string]: unknown
}

/**
 * The claims of an access token whose signature was verified, checked by RFC 9068 section 4. `now` is in seconds since
 * the epoch. Throws `wrong_type`, `unsupported_algorithm`, `wrong_issuer`, `wrong_audience`, `expired_token`,
 * `token_not_yet_valid` or `invalid_claim`.
 */
export function checkAccessTokenClaims(parsed: ParsedJws, rules: AccessTokenRules, now: number): AccessTokenClaims {
  const leewaySeconds = readLeeway(rules.leewaySeconds)
  if (!hasType(parsed, 'at+jwt')) {
    throw new TokenError('wrong_type', `an access token has the type "at+jwt", not ${quoted(parsed.header.typ)}`, 'typ')
  }
  if (rules.algorithms && !(rules.algorithms as readonly string[]).includes(parsed.header.alg)) {
    throw new TokenError('unsupported_algorithm', `algorithm ${quoted(parsed.header.alg)} is not allowed here`, 'alg')
  }
  const { claims } = parsed
  checkIssuer(claims, rules.issuer)
  checkAudience(readAudience(claims), rules.audiences)
  checkTimes(parsed, leewaySeconds, rules.maximumLifetimeSeconds, now)
  for (const name of ['sub', 'client_id', 'jti']) readText(claims, name)
  if (claims.scope !== undefined) checkScope(claims.scope)
  if (
    claims.cnf !== undefined &&
    (typeof claims.cnf !== 'object' || claims.cnf === null || Array.isArray(claims.cnf))
  ) {
    throw new TokenError('invalid_claim', '"cnf" is not an object', 'cnf')
  }
  return claims as AccessTokenClaims
}

function readLeeway(leewaySeconds = 0): number {
  // A mistake of the program, not of the token, hence no TokenError.
  if (!(leewaySeconds >= 0 && leewaySeconds <= 60)) throw new RangeError('leewaySeconds must be between 0 and 60')
  return leewaySeconds
}

function checkTimes(
  { claims }: ParsedJws,
  leewaySeconds: number,
  maximumLifetimeSeconds: number | undefined,
  now: number,
) {
  const issuedAt = readTime(claims, 'iat')
  const expiresAt = readTime(claims, 'exp')
  checkNotExpired(expiresAt, now, leewaySeconds)
  checkNotBefore(issuedAt, now, leewaySeconds, 'iat')
  if (claims.nbf !== undefined) checkNotBefore(readTime(claims, 'nbf'), now, leewaySeconds, 'nbf')
  if (maximumLifetimeSeconds !== undefined && expiresAt - issuedAt > maximumLifetimeSeconds) {
    const message = `the token lives ${expiresAt - issuedAt} seconds; at most ${maximumLifetimeSeconds} are accepted`
    throw new TokenError('invalid_claim', message, 'exp')
  }
}

function checkScope(scope: unknown): void {
  if (typeof scope === 'string' && isScopeText(scope)) return
  throw new TokenError('invalid_claim', '"scope" is not a list of scopes separated by single spaces', 'scope')
}
