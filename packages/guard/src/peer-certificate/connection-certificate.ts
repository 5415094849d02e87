import type { DetailedPeerCertificate } from 'node:tls'
import { shownCertificates } from '@countersign/spiffe'
import { type PeerCertificate, PeerCertificateError, readPeerCertificate } from './peer-certificate.ts'

/**
 * The certificate that a TLS connection showed: undefined without TLS, and where none was asked for or sent. Whether TLS itself
 * believed it does not matter here: the guard verifies chains by its own bundles. Read once a connection.
 * Throws PeerCertificateError.
 */
export function connectionCertificate(socket: object): PeerCertificate | undefined {
  const known = seen.get(socket)
  if (known instanceof PeerCertificateError) throw known
  if (known !== undefined) return known
  const { getPeerCertificate } = socket as TlsSocketLike
  if (typeof getPeerCertificate !== 'function') return undefined
  try {
    // Not `getPeerX509Certificate`: asked a second time, Node's has lost the issuers.
    const peer = readPeerCertificate(shownCertificates(getPeerCertificate.call(socket, true)))
    if (peer !== undefined) seen.set(socket, peer)
    return peer
  } catch (error) {
    if (error instanceof PeerCertificateError) seen.set(socket, error)
    throw error
  }
}

interface TlsSocketLike {
  getPeerCertificate?: (detailed: true) => Partial<DetailedPeerCertificate> | null
}

const seen = new WeakMap<object, PeerCertificate | PeerCertificateError>()
