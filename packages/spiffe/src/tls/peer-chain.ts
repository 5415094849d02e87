import type { DetailedPeerCertificate, TLSSocket } from 'node:tls'
import type { Bundle } from '../bundles/bundle.ts'
import { type Certificate, parseCertificate } from '../certificates/certificate.ts'
import { shownCertificates } from '../certificates/shown-certificates.ts'

/**
 * The chain that a peer has shown, leaf first; empty when it has shown none.
 *
 * @throws SpiffeError `invalid_certificate`
 */
export function chainOfSocket(socket: TLSSocket, bundles: Iterable<Bundle>): Certificate[] {
  const shown = socket.getPeerCertificate()
  // Without a certificate Node shows an object without members.
  if (shown.raw === undefined) return []
  const anchors = authoritiesOf(bundles)
  const leaf = parseCertificate(shown.raw)
  // Mostly there is nothing more in the chain, and it costs several times as much.
  if (anchors.some((anchor) => seemsIssuedBy(leaf, anchor))) return [leaf]
  return chainOf(socket.getPeerCertificate(true), anchors)
}

/** The same of what `checkServerIdentity` gets. */
export function chainOfCertificate(shown: DetailedPeerCertificate, bundles: Iterable<Bundle>): Certificate[] {
  return chainOf(shown, authoritiesOf(bundles))
}

/** Node adds the anchors that it knows to what the peer has sent; they are in the bundle, and left out here. */
function chainOf(shown: DetailedPeerCertificate, anchors: readonly Certificate[]): Certificate[] {
  const [leaf, ...issuers] = shownCertificates(shown)
  if (leaf === undefined) return []
  const end = issuers.findIndex((issuer) => anchors.some(({ der }) => der.equals(issuer)))
  return [leaf, ...(end === -1 ? issuers : issuers.slice(0, end))].map((der) => parseCertificate(der))
}

function authoritiesOf(bundles: Iterable<Bundle>): Certificate[] {
  return [...bundles].flatMap(({ x509Authorities }) => x509Authorities)
}

function seemsIssuedBy(leaf: Certificate, anchor: Certificate): boolean {
  return (
    leaf.authorityKeyId !== undefined &&
    leaf.authorityKeyId === anchor.subjectKeyId &&
    leaf.issuerDer.equals(anchor.subjectDer)
  )
}
