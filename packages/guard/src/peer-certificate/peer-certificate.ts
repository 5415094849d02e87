import { type Certificate, certificateThumbprint, parseCertificate } from '@countersign/spiffe'

/** The certificate of whoever is at the other end: TLS, or a proxy that is believed, has seen its private key used. */
export interface PeerCertificate {
  readonly leaf: Certificate
  /** Leaf first, as it came: nothing of it is verified. */
  readonly chain: readonly Certificate[]
  /** `x5t#S256` (RFC 8705 section 3.1). */
  readonly thumbprint: string
}

/** The certificate cannot be read, or may not be looked at. `reason` as in GuardError; the message is for logs. */
export class PeerCertificateError extends Error {
  readonly reason: 'malformed_certificate' | 'malformed_header' | 'untrusted_proxy'

  constructor(reason: PeerCertificateError['reason'], message: string, options?: ErrorOptions) {
    super(message, options)
    this.reason = reason
  }
}

/** More certificates than any honest chain has are not read. */
const maximumChain = 10

/** Reads a chain, leaf first. Throws PeerCertificateError `malformed_certificate`. */
export function readPeerCertificate(chain: readonly Uint8Array[]): PeerCertificate | undefined {
  if (chain.length === 0) return undefined
  if (chain.length > maximumChain) {
    throw new PeerCertificateError('malformed_certificate', `the peer sent more than ${maximumChain} certificates`)
  }
  try {
    const certificates = chain.map((der) => parseCertificate(der))
    const leaf = certificates[0]!
    return { leaf, chain: certificates, thumbprint: certificateThumbprint(leaf.der) }
  } catch (error) {
    throw new PeerCertificateError('malformed_certificate', (error as Error).message, { cause: error })
  }
}
