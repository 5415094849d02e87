import type { RequestLike } from '../bearer-token.ts'
import type { Caller } from '../caller.ts'
import type { PeerCertificate } from '../peer-certificate/peer-certificate.ts'
import type { FindPeerCertificate } from '../peer-certificate/peer-certificates.ts'
import { proofRequired, Refused } from '../refusal.ts'
import type { RevocationCheck } from '../revocation/revocation-check.ts'
import { certificateRefusal, revokedCertificate, wrongCertificate } from './certificate-refusal.ts'
import { createCertificateVerifier } from './certificate-verifier.ts'
import type { MtlsSettings } from './mtls-options.ts'

export interface CertificateCheck {
  /** Who the certificate of a request's connection belongs to; undefined where it has none. Rejects with Refused. */
  caller(request: RequestLike): Promise<Caller | undefined>
  /** Throws Refused unless the request came with the certificate of this thumbprint (RFC 8705 section 3). */
  prove(thumbprint: string, request: RequestLike | undefined): void
}

export interface CertificateCheckSettings {
  readonly mtls: MtlsSettings | undefined
  readonly findPeerCertificate: FindPeerCertificate
  readonly realm: string
  readonly now: () => number
}

export function createCertificateCheck(
  { mtls, findPeerCertificate, realm, now }: CertificateCheckSettings,
  revocations: RevocationCheck,
): CertificateCheck {
  const verify = mtls && createCertificateVerifier(mtls, realm)

  function find(request: RequestLike): PeerCertificate | undefined {
    try {
      return findPeerCertificate(request)
    } catch (error) {
      throw new Refused(certificateRefusal(error))
    }
  }

  return {
    async caller(request) {
      const peer = find(request)
      if (peer === undefined || verify === undefined) return undefined
      await mtls?.bundles?.ready?.catch(() => {})
      return revocations.certificate(peer.leaf.serialNumber, verify(peer, now() / 1000))
    },
    prove(thumbprint, request) {
      const peer = request && find(request)
      if (peer === undefined) throw new Refused(proofRequired)
      if (peer.thumbprint !== thumbprint) throw new Refused(wrongCertificate)
      if (revocations.isRevokedCertificate(peer.leaf.serialNumber)) throw new Refused(revokedCertificate)
    },
  }
}
