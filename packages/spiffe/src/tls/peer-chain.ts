import type { DetailedPeerCertificate, TLSSocket } from 'node:tls'
import type { Bundle } from '../bundles/bundle.ts'
import { type Certificate, parseCertificate } from '../certificates/certificate.ts'

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
  return chainFrom(leaf, socket.getPeerCertificate(true).issuerCertificate, anchors)
}

/** The same of what `checkServerIdentity` gets. */
export function chainOfCertificate(shown: DetailedPeerCertificate, bundles: Iterable<Bundle>): Certificate[] {
  if (shown.raw === undefined) return []
  return chainFrom(parseCertificate(shown.raw), shown.issuerCertificate, authoritiesOf(bundles))
}

/** Node adds the anchors that it knows to what the peer has sent; they are in the bundle, and left out here. */
function chainFrom(leaf: Certificate, issuer: DetailedPeerCertificate | undefined, anchors: readonly Certificate[]) {
  const chain = [leaf]
  for (let at = issuer; at?.raw !== undefined && chain.length < maximumChain; ) {
    const { raw } = at
    if (anchors.some(({ der }) => der.equals(raw))) break
    chain.push(parseCertificate(raw))
    // A root names itself as its issuer.
    at = at.issuerCertificate === at ? undefined : at.issuerCertificate
  }
  return chain
}

/** Longer than any chain that is verified */
const maximumChain = 12

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
