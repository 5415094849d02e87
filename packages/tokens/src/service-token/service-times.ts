import type { JwtClaims } from '../jwt/parse-jwt.ts'
import { checkNotBefore, checkNotExpired, readTime } from '../oauth/claim-checks.ts'
import { TokenError } from '../token-error.ts'

const longestLifetimeSeconds = 900

/** The times of a token that a service signed itself, against `now` in seconds since the epoch. */
export function checkServiceTimes(
  claims: JwtClaims,
  rules: { leewaySeconds?: number; maximumLifetimeSeconds?: number },
  now: number,
): void {
  const { leewaySeconds = 10, maximumLifetimeSeconds = longestLifetimeSeconds } = rules
  checkRules(leewaySeconds, maximumLifetimeSeconds)
  const issuedAt = readTime(claims, 'iat')
  const expiresAt = readTime(claims, 'exp')
  const lifetimeSeconds = expiresAt - issuedAt
  if (!(lifetimeSeconds > 0 && lifetimeSeconds <= maximumLifetimeSeconds)) {
    const message = `the token lives ${lifetimeSeconds} seconds; more than 0 and at most ${maximumLifetimeSeconds} are accepted`
    throw new TokenError('invalid_claim', message, 'exp')
  }
  checkNotExpired(expiresAt, now, leewaySeconds)
  checkNotBefore(issuedAt, now, leewaySeconds, 'iat')
  if (claims.nbf !== undefined) checkNotBefore(readTime(claims, 'nbf'), now, leewaySeconds, 'nbf')
}

function checkRules(leewaySeconds: number, maximumLifetimeSeconds: number): void {
  // Mistakes of the program, not of the token, hence no TokenError.
  if (!(leewaySeconds >= 0 && leewaySeconds <= 60)) throw new RangeError('leewaySeconds must be between 0 and 60')
  if (!(maximumLifetimeSeconds > 0 && maximumLifetimeSeconds <= longestLifetimeSeconds)) {
    throw new RangeError('maximumLifetimeSeconds must be above 0 and at most 900')
  }
}
