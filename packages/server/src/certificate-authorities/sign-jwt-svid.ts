import { parseSpiffeId, type SpiffeId, signJwtSvid as signJwt } from '@countersign/spiffe'
import { signedUntil } from './signed-until.ts'
import type { TrustDomainAuthority } from './trust-domain-authority.ts'

export interface JwtSvidOrder {
  id: SpiffeId | string
  audience: readonly string[]
  ttlSeconds: number
  jti: string
  now: number
  /** `iss`, where one is configured */
  issuer?: string | undefined
}

export interface IssuedJwtSvid {
  token: string
  issuedAt: number
  expiresAt: number
  jti: string
}

/**
 * Signs a JWT-SVID with the key that is active now; it does not outlive that key.
 * @throws CaUnavailable
 */
export function signJwtSvid(authority: TrustDomainAuthority, order: JwtSvidOrder): IssuedJwtSvid {
  const { kid, key, expiresAt: keyExpiresAt } = authority.jwtSigner()
  const expiresAt = signedUntil(order.now + order.ttlSeconds, { notAfter: keyExpiresAt }, order.now)
  const { audience, jti, now: issuedAt, issuer } = order
  const id = parseSpiffeId(order.id.toString())
  const token = signJwt({ id, audience, issuedAt, expiresAt, key, kid, jti, ...(issuer !== undefined && { issuer }) })
  return { token, issuedAt, expiresAt, jti }
}
