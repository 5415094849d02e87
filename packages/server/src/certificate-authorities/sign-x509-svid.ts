import { createHash } from 'node:crypto'
import type { SpiffeId } from '@countersign/spiffe'
import { signedUntil } from './signed-until.ts'
import type { TrustDomainAuthority } from './trust-domain-authority.ts'

/** A verifier's clock may be behind by this. */
export const backdatedSeconds = 10

export interface X509SvidOrder {
  id: SpiffeId | string
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
export function signX509Svid(authority: TrustDomainAuthority, order: X509SvidOrder): IssuedX509Svid {
  const issuer = authority.issuer()
  const expiresAt = signedUntil(order.now + order.ttlSeconds, issuer.certificate, order.now)
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

/** As SPIRE names its SVIDs: some software wants a subject, and no two of them to be alike. */
function subjectOf({ id }: X509SvidOrder): { country: string; organization: string; commonName?: string } {
  return { country: 'US', organization: createHash('sha256').update(id.toString()).digest('hex').slice(0, 32) }
}
