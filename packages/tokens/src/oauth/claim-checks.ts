import type { JwtClaims, ParsedJws } from '../jwt/parse-jwt.ts'
import { quoted, TokenError } from '../token-error.ts'

/** `typ` compared as a media type: any case, `application/` optional (RFC 7515 section 4.1.9). */
export function hasType(parsed: ParsedJws, type: string): boolean {
  const given = parsed.header.typ?.toLowerCase()
  return given === type || given === `application/${type}`
}

export function checkIssuer(claims: JwtClaims, issuer: string): void {
  // Compared as plain strings; an array that holds the issuer is not the issuer.
  if (claims.iss !== issuer) {
    throw new TokenError('wrong_issuer', `the issuer is ${quoted(claims.iss)}, expected ${quoted(issuer)}`, 'iss')
  }
}

/** The members of `aud`; throws where it is neither a string nor an array of strings. */
export function readAudience(claims: JwtClaims): readonly string[] {
  const { aud } = claims
  if (typeof aud === 'string') return [aud]
  if (Array.isArray(aud) && aud.every((member) => typeof member === 'string')) return aud
  throw new TokenError('wrong_audience', 'the audience is missing, or no string and no array of strings', 'aud')
}

/** Throws `wrong_audience` unless one of `accepted` is, character by character, among the token's audiences. */
export function checkAudience(audience: readonly string[], accepted: readonly string[]): void {
  if (audience.some((member) => accepted.includes(member))) return
  const shown = audience.slice(0, 3).map(quoted).join(', ')
  throw new TokenError('wrong_audience', `the token is for ${shown || 'nobody'}, not for this receiver`, 'aud')
}

/** A time in seconds since the epoch (NumericDate, RFC 7519 section 2), which may have a fraction. */
export function readTime(claims: JwtClaims, name: 'exp' | 'iat' | 'nbf'): number {
  const value = claims[name]
  if (typeof value !== 'number' || !Number.isFinite(value) || value < 0) {
    throw new TokenError('invalid_claim', `"${name}" is missing or not a time in seconds`, name)
  }
  return value
}

export function checkNotExpired(expiresAt: number, now: number, leewaySeconds: number): void {
  if (now >= expiresAt + leewaySeconds) {
    throw new TokenError('expired_token', `the token expired ${Math.floor(now - expiresAt)} seconds ago`, 'exp')
  }
}

export function checkNotBefore(startsAt: number, now: number, leewaySeconds: number, name: 'iat' | 'nbf'): void {
  if (startsAt > now + leewaySeconds) {
    const message = `the token is valid only in ${Math.ceil(startsAt - now)} seconds; compare the clocks`
    throw new TokenError('token_not_yet_valid', message, name)
  }
}

export function readText(claims: JwtClaims, name: string, maximumLength = 1024): string {
  const value = claims[name]
  if (typeof value !== 'string' || value === '' || value.length > maximumLength) {
    throw new TokenError('invalid_claim', `"${name}" is missing or no string of 1 to ${maximumLength} characters`, name)
  }
  return value
}
