import type { ParsedJws } from '../jwt/parse-jwt.ts'
import { createSigner } from '../jwt/signer.ts'
import { verifySignature } from '../jwt/verify-signature.ts'
import type { PrivateKey } from '../keys/private-key.ts'
import type { VerificationKey } from '../keys/public-jwk.ts'
import { jwkThumbprint } from '../keys/thumbprint.ts'
import { hasType } from '../oauth/claim-checks.ts'
import { quoted, TokenError } from '../token-error.ts'
import { checkEdwards, edwardsAlgorithms, readSender } from './service-claims.ts'
import { serviceName } from './service-name.ts'
import { checkServiceTimes } from './service-times.ts'
import { checkLifetime } from './service-token-signer.ts'

/** Signs tokens of the compatibility profile. */
export interface Md5TokenSigner {
  readonly sender: string
  readonly kid: string
  /** `requestHash`: of `md5RequestHash` or `md5MessageHash`. */
  sign(requestHash: string): string
}

export interface Md5TokenSignerOptions {
  /** The service's name, short or full. */
  name: string
  /** Ed25519. */
  key: PrivateKey
  /** 1 to 900, default 900. */
  lifetimeSeconds?: number
  /** Milliseconds since the epoch. */
  now: () => number
}

/** A signer of md5 tokens, for receivers that have not moved yet. Throws as `createServiceTokenSigner`. */
export function createMd5TokenSigner(options: Md5TokenSignerOptions): Md5TokenSigner {
  const { key, lifetimeSeconds = 900, now } = options
  checkLifetime(lifetimeSeconds)
  const sender = serviceName(options.name)
  const kid = jwkThumbprint(key.publicJwk)
  const signer = createSigner({ algorithm: 'EdDSA', kid, key: key.key, type: 'JWT' })
  return {
    sender,
    kid,
    sign(requestHash) {
      const iat = Math.floor(now() / 1000)
      return signer.sign({ iss: sender, sender, requestHash, iat, exp: iat + lifetimeSeconds })
    },
  }
}

/** The claims of a verified token of the compatibility profile. It has no audience and no `jti`: it passes again. */
export interface Md5TokenClaims {
  iss: string
  sender: string
  requestHash: string
  iat: number
  exp: number
  [name: string]: unknown
}

/**
 * The short name of the service that the token says it is from. Throws `wrong_type` for every type but `JWT` and none:
 * a service token is never checked by this profile. Else throws as `serviceTokenSender`.
 */
export function md5TokenSender(parsed: ParsedJws): string {
  if (parsed.header.typ !== undefined && !hasType(parsed, 'jwt')) {
    throw new TokenError(
      'wrong_type',
      `an md5 token has the type "JWT" or none, not ${quoted(parsed.header.typ)}`,
      'typ',
    )
  }
  checkEdwards(parsed)
  return readSender(parsed, ['iss'])
}

/**
 * The claims of a token of the compatibility profile, all of it checked; `hashes` are those of the call as received.
 * `now` is in seconds since the epoch. Throws as `checkServiceToken`.
 */
export function checkMd5Token(
  parsed: ParsedJws,
  key: VerificationKey,
  rules: { hashes: readonly string[]; leewaySeconds?: number },
  now: number,
): Md5TokenClaims {
  md5TokenSender(parsed)
  const { claims } = parsed
  const { requestHash } = claims
  if (typeof requestHash !== 'string' || !/^[0-9a-f]{32}$/.test(requestHash)) {
    throw new TokenError('invalid_claim', '"requestHash" is missing or no MD5 in lower-case hex', 'requestHash')
  }
  verifySignature(parsed, key, edwardsAlgorithms)
  checkServiceTimes(claims, rules, now)
  if (!rules.hashes.includes(requestHash)) {
    throw new TokenError('binding_mismatch', 'the token is for a request with another hash', 'digest')
  }
  return claims as Md5TokenClaims
}
