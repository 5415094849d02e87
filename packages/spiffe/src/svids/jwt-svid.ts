import { type ParsedJws, parseJwt, TokenError, type VerificationAlgorithm, verifySignature } from '@countersign/tokens'
import type { Bundle, BundleSet } from '../bundles/bundle.ts'
import { parseSpiffeId, type SpiffeId } from '../ids/spiffe-id.ts'
import { quoted, SpiffeError } from '../spiffe-error.ts'

export interface JwtSvid {
  readonly token: string
  readonly id: SpiffeId
  readonly audience: readonly string[]
  /** Seconds since the epoch */
  readonly expiresAt: number
  readonly issuedAt?: number
  readonly claims: { readonly [name: string]: unknown }
  /** Of the key that has signed it, as the bundle names it; before verification what the token says */
  readonly keyId?: string
  /** Tells several SVIDs of one workload apart; `''` for none */
  readonly hint: string
}

export interface JwtSvidRules {
  /** Who the receiver is: one of these must be among the token's audiences */
  readonly audience: string | readonly string[]
  readonly bundles: BundleSet
  /** Seconds since the epoch */
  readonly now: number
  /** For clocks that differ: 0 to 60, default 10 */
  readonly leewaySeconds?: number
}

/** JWT-SVID section 2.1. No EdDSA. */
const allowed: readonly VerificationAlgorithm[] = [
  'RS256',
  'RS384',
  'RS512',
  'ES256',
  'ES384',
  'ES512',
  'PS256',
  'PS384',
  'PS512',
]
const headerNames = ['alg', 'kid', 'typ']

/**
 * What a JWT-SVID says, none of it verified: for the workload that just got it. Throws `invalid_svid`,
 * `invalid_spiffe_id`.
 */
export function parseJwtSvidUnverified(token: string, hint = ''): JwtSvid {
  return readSvid(parse(token), hint)
}

/**
 * The JWT-SVID in a token, after all checks of JWT-SVID sections 2 to 4: only the keys of its subject's own trust
 * domain count. Throws `invalid_svid`, `invalid_spiffe_id`, `expired_svid`, and `untrusted_svid` where no such key has
 * signed it.
 */
export function verifyJwtSvid(token: string, rules: JwtSvidRules): JwtSvid {
  const { bundles, now, leewaySeconds = 10 } = rules
  if (!(leewaySeconds >= 0 && leewaySeconds <= 60)) throw new RangeError('leewaySeconds must be between 0 and 60')
  const parsed = parse(token)
  const svid = readSvid(parsed, '')
  const keyId = checkSignature(parsed, bundles.get(svid.id.trustDomain), svid.id)
  checkTimes(svid, now, leewaySeconds)
  const accepted = typeof rules.audience === 'string' ? [rules.audience] : rules.audience
  if (!svid.audience.some((audience) => accepted.includes(audience))) {
    throw invalid(`it is for ${svid.audience.slice(0, 3).map(quoted).join(', ')}, not for this receiver`)
  }
  return Object.freeze({ ...svid, keyId })
}

function parse(token: string): ParsedJws {
  try {
    return parseJwt(token)
  } catch (error) {
    if (!(error instanceof TokenError)) throw error
    throw invalid(error.message, error)
  }
}

function readSvid({ header, claims, token }: ParsedJws, hint: string): JwtSvid {
  const other = Object.keys(header).find((name) => !headerNames.includes(name))
  if (other !== undefined) throw invalid(`its header has ${quoted(other)}; only alg, kid and typ are allowed`)
  if (!(allowed as readonly string[]).includes(header.alg)) throw invalid(`its algorithm is ${quoted(header.alg)}`)
  if (header.typ !== undefined && header.typ !== 'JWT' && header.typ !== 'JOSE') {
    throw invalid(`its type is ${quoted(header.typ)}, not JWT or JOSE`)
  }
  if (typeof claims.sub !== 'string') throw invalid('it has no subject')
  const issuedAt = readTime(claims, 'iat')
  readTime(claims, 'nbf')
  const expiresAt = readTime(claims, 'exp')
  if (expiresAt === undefined) throw invalid('it does not say when it expires')
  return Object.freeze({
    token,
    id: parseWorkloadId(claims.sub),
    audience: readAudience(claims.aud),
    expiresAt,
    ...(issuedAt !== undefined && { issuedAt }),
    claims,
    ...(header.kid !== undefined && { keyId: header.kid }),
    hint,
  })
}

function parseWorkloadId(subject: string): SpiffeId {
  const id = parseSpiffeId(subject)
  if (id.path === '') throw invalid(`its subject ${quoted(subject)} is a trust domain, not a workload`)
  return id
}

function readAudience(value: unknown): readonly string[] {
  const audience = typeof value === 'string' ? [value] : value
  const isRead = Array.isArray(audience) && audience.length > 0 && audience.every((one) => typeof one === 'string')
  if (!isRead || audience.includes('')) throw invalid('its audience is missing, empty, or no list of strings')
  return Object.freeze(audience)
}

function readTime(claims: ParsedJws['claims'], name: 'exp' | 'iat' | 'nbf'): number | undefined {
  const value = claims[name]
  if (value === undefined) return undefined
  if (typeof value !== 'number' || !Number.isFinite(value) || value < 0) throw invalid(`its "${name}" is no time`)
  return value
}

/** The id of the key that has signed it. */
function checkSignature(parsed: ParsedJws, bundle: Bundle | undefined, id: SpiffeId): string {
  if (bundle === undefined || bundle.trustDomain !== id.trustDomain) {
    throw untrusted(`there is no bundle of the trust domain ${quoted(id.trustDomain)}`)
  }
  const key = selectKey(bundle, parsed.header)
  if (key === undefined) throw untrusted(`no key of the trust domain ${quoted(id.trustDomain)} fits its header`)
  try {
    verifySignature(parsed, key.verificationKey, allowed)
  } catch (error) {
    if (!(error instanceof TokenError)) throw error
    throw untrusted(error.message, error)
  }
  return key.keyId
}

/** By `kid`, which is optional (section 2.2): without one the only key that fits the algorithm. */
function selectKey({ jwtAuthorities }: Bundle, { kid, alg }: ParsedJws['header']) {
  if (kid !== undefined) return jwtAuthorities.get(kid)
  const fitting = [...jwtAuthorities.values()].filter(({ verificationKey }) =>
    (verificationKey.algorithms as readonly string[]).includes(alg),
  )
  return fitting.length === 1 ? fitting[0] : undefined
}

function checkTimes({ expiresAt, issuedAt, claims }: JwtSvid, now: number, leewaySeconds: number): void {
  if (now >= expiresAt + leewaySeconds) {
    throw new SpiffeError('expired_svid', `the JWT-SVID expired ${Math.floor(now - expiresAt)} seconds ago`)
  }
  for (const startsAt of [issuedAt, claims.nbf as number | undefined]) {
    if (startsAt !== undefined && startsAt > now + leewaySeconds) {
      const seconds = Math.ceil(startsAt - now)
      throw new SpiffeError('expired_svid', `the JWT-SVID is valid only in ${seconds} seconds; compare the clocks`)
    }
  }
}

function invalid(why: string, cause?: Error): SpiffeError {
  return new SpiffeError('invalid_svid', `the JWT-SVID is refused: ${why}`, { cause })
}

function untrusted(why: string, cause?: Error): SpiffeError {
  return new SpiffeError('untrusted_svid', `the JWT-SVID is not trusted: ${why}`, { cause })
}
