import {
  type AccessTokenClaims,
  checkAccessTokenClaims,
  jwkThumbprint,
  type ParsedJws,
  parseJwt,
  parseScope,
  TokenError,
  type VerificationAlgorithm,
  type VerificationKey,
  verifySignature,
} from '@countersign/tokens'
import { type Caller, deepFreeze } from './caller.ts'
import type { RevocableToken } from './revocation/revocation-source.ts'
import type { TrustedIssuer } from './trusted-issuer.ts'

export interface AccessTokenRules {
  readonly issuers: ReadonlyMap<string, TrustedIssuer>
  readonly audiences: readonly string[]
  readonly leewaySeconds: number
}

/** An access token that holds, with what a later look at it needs. */
export interface VerifiedToken {
  readonly caller: Caller
  /** For an access token. */
  readonly revocable?: RevocableToken
  /** For a JWT-SVID. */
  readonly revocableSvid?: { readonly jti?: string; readonly kid?: string }
  /** The certificate (`x5t#S256`) that the caller must prove (RFC 8705 section 3). */
  readonly boundTo?: string
  /** Seconds since the epoch. */
  readonly expiresAt: number
}

/** The keys of an issuer could not be had: not the token's fault. */
export class KeysUnavailable extends Error {}

/**
 * Verifies an RFC 9068 access token: its form, its issuer, its signature by a key of that issuer, its claims.
 * Synchronous when the key is at hand. Throws TokenError when the token is at fault, KeysUnavailable when it is not.
 */
export function verifyAccessToken(
  token: string,
  rules: AccessTokenRules,
  now: () => number,
): VerifiedToken | Promise<VerifiedToken> {
  const parsed = parseJwt(token)
  const issuer = issuerOf(parsed, rules.issuers)
  const header = { kid: parsed.header.kid, alg: parsed.header.alg }
  if (!issuer.algorithms.includes(header.alg as VerificationAlgorithm)) {
    throw new TokenError('unsupported_algorithm', 'the algorithm is not one that this guard takes', 'alg')
  }
  const finish = (key: VerificationKey | undefined) => checkWithKey(parsed, key, issuer, rules, now())
  const known = issuer.keys.keyForSync?.(header)
  return known === undefined ? fetchKey(issuer, header).then(finish) : finish(known)
}

/** The issuer is chosen by exact string, so that no token is ever checked with another issuer's keys. */
function issuerOf(parsed: ParsedJws, issuers: ReadonlyMap<string, TrustedIssuer>): TrustedIssuer {
  const name = parsed.claims.iss
  const issuer = typeof name === 'string' ? issuers.get(name) : undefined
  if (issuer === undefined)
    throw new TokenError('wrong_issuer', 'the token is of no issuer that this guard trusts', 'iss')
  return issuer
}

async function fetchKey(
  issuer: TrustedIssuer,
  header: { kid?: string; alg: string },
): Promise<VerificationKey | undefined> {
  try {
    return await issuer.keys.keyFor(header)
  } catch (cause) {
    throw new KeysUnavailable(`the keys of ${issuer.issuer} cannot be had`, { cause })
  }
}

function checkWithKey(
  parsed: ParsedJws,
  key: VerificationKey | undefined,
  issuer: TrustedIssuer,
  rules: AccessTokenRules,
  nowMilliseconds: number,
): VerifiedToken {
  if (key === undefined) throw new TokenError('unknown_key', 'no key of the issuer fits the token', 'kid')
  verifySignature(parsed, key, issuer.algorithms)
  const claims = checkAccessTokenClaims(
    parsed,
    {
      issuer: issuer.issuer,
      audiences: rules.audiences,
      algorithms: issuer.algorithms,
      leewaySeconds: rules.leewaySeconds,
    },
    nowMilliseconds / 1000,
  )
  const boundTo = boundThumbprint(claims.cnf)
  const caller = toCaller(claims, key, issuer, rules.audiences)
  const { iss, jti, client_id, iat, exp } = claims
  return { caller, boundTo, revocable: { iss, jti, client_id, iat, kid: caller.credentialId }, expiresAt: exp }
}

/**
 * The certificate that a token is bound to. A token bound to anything else is worth nothing here, since nothing here proves
 * it (RFC 9449 section 7.1). Throws TokenError.
 */
export function boundThumbprint(confirmation: unknown): string | undefined {
  if (confirmation === undefined) return undefined
  const { 'x5t#S256': thumbprint, ...others } = (confirmation ?? {}) as Record<string, unknown>
  const isThumbprint = typeof thumbprint === 'string' && /^[A-Za-z0-9_-]{43}$/.test(thumbprint)
  if (isThumbprint && Object.keys(others).length === 0) return thumbprint
  throw new TokenError('invalid_claim', 'the token is bound to a key that is not proven here', 'cnf')
}

/** The tokens of one client, and of most clients, carry one of a few scope texts. */
function scopeList(text: string): readonly string[] {
  const known = scopeLists.get(text)
  if (known !== undefined) return known
  const scopes = Object.freeze(parseScope(text))
  if (scopeLists.size < mostScopeLists) scopeLists.set(text, scopes)
  return scopes
}

const mostScopeLists = 1000
const scopeLists = new Map<string, readonly string[]>()

function toCaller(
  claims: AccessTokenClaims,
  key: VerificationKey,
  issuer: TrustedIssuer,
  audiences: readonly string[],
): Caller {
  const named = typeof claims.aud === 'string' ? [claims.aud] : claims.aud
  const caller: Caller = {
    method: 'access_token',
    clientId: claims.client_id,
    subject: claims.sub,
    scopes: claims.scope === undefined ? [] : scopeList(claims.scope),
    audience: audiences.find((audience) => named.includes(audience))!,
    issuer: issuer.issuer,
    credentialId: key.kid ?? jwkThumbprint(key.jwk),
    tokenId: claims.jti,
    expiresAt: claims.exp,
    ...(typeof claims.tenant === 'string' ? { tenant: claims.tenant } : {}),
    ...(claims.cnf === undefined ? {} : { confirmation: claims.cnf }),
    claims,
  }
  return deepFreeze(caller)
}
