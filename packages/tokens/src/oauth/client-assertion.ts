import { type KeyObject, randomUUID } from 'node:crypto'
import type { SigningAlgorithm } from '../algorithms.ts'
import type { ParsedJws } from '../jwt/parse-jwt.ts'
import { createSigner } from '../jwt/signer.ts'
import { quoted, TokenError } from '../token-error.ts'
import {
  checkAudience,
  checkNotBefore,
  checkNotExpired,
  hasType,
  readAudience,
  readText,
  readTime,
} from './claim-checks.ts'

const assertionType = 'client-authentication+jwt'

export interface ClientAssertionOptions {
  clientId: string
  /** The issuer of the authorization server, exactly as it writes itself. */
  audience: string
  key: KeyObject
  kid?: string
  algorithm: SigningAlgorithm
  /** Seconds since the epoch. */
  now: number
  /** Default 60. */
  lifetimeSeconds?: number
  /** Default a random UUID. */
  jti?: string
}

/** A JWT with which a client proves itself (private_key_jwt, RFC 7523 section 2.2). Good for one request. */
export function signClientAssertion(options: ClientAssertionOptions): string {
  const { clientId, audience, now, lifetimeSeconds = 60, jti = randomUUID() } = options
  const signer = createSigner({ ...options, type: assertionType })
  return signer.sign({ iss: clientId, sub: clientId, aud: audience, iat: now, exp: now + lifetimeSeconds, jti })
}

export interface ClientAssertionRules {
  clientId: string
  /** The issuer; the token endpoint too where a client was allowed to send that. */
  audiences: readonly string[]
  leewaySeconds: number
  /** How far ahead `exp` may lie. */
  maximumLifetimeSeconds: number
}

/**
 * Checks the claims of a client assertion whose signature was verified (RFC 7523 section 3 as updated by RFC 10070).
 * `now` is in seconds since the epoch. The caller must then consume `jti` once, remembering it until `expiresAt` plus
 * its leeway. Throws `wrong_type`, `invalid_claim`, `wrong_audience`, `expired_token` or `token_not_yet_valid`.
 */
export function checkClientAssertion(
  parsed: ParsedJws,
  rules: ClientAssertionRules,
  now: number,
): { jti: string; expiresAt: number } {
  checkType(parsed)
  const { claims } = parsed
  for (const name of ['iss', 'sub']) {
    if (claims[name] === rules.clientId) continue
    throw new TokenError('invalid_claim', `"${name}" is ${quoted(claims[name])}, not the client's id`, name)
  }
  checkSoleAudience(parsed, rules.audiences)
  const expiresAt = readTime(claims, 'exp')
  checkNotExpired(expiresAt, now, rules.leewaySeconds)
  checkLifetime(parsed, expiresAt, rules, now)
  return { jti: readText(claims, 'jti', 256), expiresAt: Math.ceil(expiresAt) }
}

/** Whose assertion it claims to be, for finding the keys to verify it with; undefined where `iss` and `sub` differ. */
export function assertionClientId({ claims }: ParsedJws): string | undefined {
  return typeof claims.sub === 'string' && claims.sub !== '' && claims.sub === claims.iss ? claims.sub : undefined
}

function checkType(parsed: ParsedJws): void {
  if (parsed.header.typ === undefined || hasType(parsed, 'jwt') || hasType(parsed, assertionType)) return
  const message = `a client assertion has the type "${assertionType}" or none, not ${quoted(parsed.header.typ)}`
  throw new TokenError('wrong_type', message, 'typ')
}

function checkSoleAudience({ claims }: ParsedJws, accepted: readonly string[]): void {
  const audience = readAudience(claims)
  // With two audiences the other one could replay the assertion here.
  if (audience.length !== 1) throw new TokenError('wrong_audience', 'the audience must be a single one', 'aud')
  checkAudience(audience, accepted)
}

function checkLifetime({ claims }: ParsedJws, expiresAt: number, rules: ClientAssertionRules, now: number): void {
  const latest = now + rules.maximumLifetimeSeconds + rules.leewaySeconds
  if (expiresAt > latest) {
    const message = `the assertion expires in ${Math.ceil(expiresAt - now)} seconds; at most ${rules.maximumLifetimeSeconds} are accepted`
    throw new TokenError('invalid_claim', message, 'exp')
  }
  if (claims.iat !== undefined) checkNotBefore(readTime(claims, 'iat'), now, rules.leewaySeconds, 'iat')
  if (claims.nbf !== undefined) checkNotBefore(readTime(claims, 'nbf'), now, rules.leewaySeconds, 'nbf')
}
