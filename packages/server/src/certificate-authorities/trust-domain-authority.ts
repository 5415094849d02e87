import type { KeyObject } from 'node:crypto'
import type { Bundle, CertificateIssuer } from '@countersign/spiffe'

/** The trust domain's authority as those see it who issue and verify. */
export interface TrustDomainAuthority {
  readonly trustDomain: string
  /** The CA that signs X.509-SVIDs now. @throws CaUnavailable */
  issuer(): CertificateIssuer
  /** The key that signs JWT-SVIDs now. @throws CaUnavailable */
  jwtSigner(): JwtAuthority
  /** Prepared, active, and old ones that live; the sequence number is one higher after each change, on every replica. */
  bundle(): Bundle
  /** What the bundle is made of, with what the node API tells of each. */
  published(): PublishedAuthorities
  /** When each of those that sign now expires, in seconds since the epoch; without those that cannot sign */
  signsUntil(): { x509?: number; jwt?: number }
  /** Told after the bundle, or who signs, has changed. @returns what ends it */
  onChange(listener: () => void): () => void
}

export interface JwtAuthority {
  readonly kid: string
  readonly key: KeyObject
  readonly expiresAt: number
}

export interface PublishedAuthorities {
  /** One more with each change, the same on every replica */
  readonly sequenceNumber: number
  readonly x509: readonly { readonly der: Buffer; readonly tainted: boolean }[]
  readonly jwt: readonly PublishedJwtKey[]
}

export interface PublishedJwtKey {
  readonly kid: string
  /** SubjectPublicKeyInfo, DER */
  readonly publicKeyDer: Buffer
  /** Seconds since the epoch */
  readonly expiresAt: number
  readonly tainted: boolean
}
