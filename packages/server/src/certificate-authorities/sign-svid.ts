import { createHash } from 'node:crypto'
import { type SpiffeId, signJwtSvid as signJwt } from '@countersign/spiffe'
import { CaUnavailable } from './ca-unavailable.ts'
import type { CaAuthority } from './certificate-authority.ts'

/** A verifier's clock may be behind by this. */
export const backdatedSeconds = 10

export interface X509SvidOrder {
  id: SpiffeId
  /** SubjectPublicKeyInfo of the holder's key */
  publicKeyDer: Uint8Array
  ttlSeconds: number
  /** At most 20 bytes, positive; from `issuanceId` */
  serialNumber: Uint8Array
  /** Seconds since the epoch */
  now: number
  dnsNames?: readonly string[]
  subject?: { commonName?: string; organization?: string; country?: string }
}

export interface IssuedX509Svid {
  /** DER, the leaf first, the root left out */
  chain: Buffer[]
  expiresAt: number
  /** Lower-case hex */
  serialNumber: string
}

/**
 * Signs an X.509-SVID with the CA that is active now; it does not outlive that CA.
 * @throws CaUnavailable
 */
export function signX509Svid(authority: CaAuthority, order: X509SvidOrder): IssuedX509Svid {
  const issuer = authority.issuer()
  const expiresAt = endOf(order.now + order.ttlSeconds, issuer.certificate, order.now)
  const leaf = issuer.issue({
    publicKeyDer: order.publicKeyDer,
    serialNumber: order.serialNumber,
    notBefore: order.now - backdatedSeconds,
    notAfter: expiresAt,
    uris: [order.id.toString()],
    ...(order.dnsNames && { dnsNames: [...order.dnsNames] }),
    subject: order.subject ?? subjectOf(order),
  })
  return {
    chain: [leaf, ...issuer.chain.map(({ der }) => der)],
    expiresAt,
    serialNumber: Buffer.from(order.serialNumber).toString('hex'),
  }
}

export interface JwtSvidOrder {
  id: SpiffeId
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
export function signJwtSvid(authority: CaAuthority, order: JwtSvidOrder): IssuedJwtSvid {
  const { kid, key, expiresAt: keyExpiresAt } = authority.jwtSigner()
  const expiresAt = endOf(order.now + order.ttlSeconds, { notAfter: keyExpiresAt }, order.now)
  const { id, audience, jti, now: issuedAt, issuer } = order
  const token = signJwt({ id, audience, issuedAt, expiresAt, key, kid, jti, ...(issuer !== undefined && { issuer }) })
  return { token, issuedAt, expiresAt, jti }
}

/** Never later than what signs it. @throws CaUnavailable where nothing it signs would be believed */
function endOf(
  wanted: number,
  { notBefore = 0, notAfter }: { notBefore?: number; notAfter: number },
  now: number,
): number {
  if (now >= notAfter) {
    throw new CaUnavailable('the active authority has expired and its successor is not there yet: see the log for why')
  }
  if (now < notBefore) {
    throw new CaUnavailable(
      `the active CA is valid from ${new Date(notBefore * 1000).toISOString()} only: it was made by a clock that is ahead; correct the clocks, then: countersign ca rotate --force`,
    )
  }
  return Math.min(wanted, notAfter)
}

/** As SPIRE names its SVIDs: some software wants a subject, and no two of them to be alike. */
function subjectOf({ id }: X509SvidOrder): { country: string; organization: string; commonName?: string } {
  return { country: 'US', organization: createHash('sha256').update(id.toString()).digest('hex').slice(0, 32) }
}
