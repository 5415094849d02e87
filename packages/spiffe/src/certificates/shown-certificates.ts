/** What of a `DetailedPeerCertificate` of node:tls is looked at. */
interface ShownCertificate {
  readonly raw?: Buffer
  readonly issuerCertificate?: ShownCertificate | undefined
}

/** Longer than any chain that is verified; two certificates may have signed each other. */
const maximumChain = 12

/**
 * The chain in what `getPeerCertificate(true)` gives, DER and leaf first; empty where the peer has shown none. Node adds
 * the issuers that it finds among its own trusted ones.
 */
export function shownCertificates(leaf: object | null | undefined): Buffer[] {
  const chain: Buffer[] = []
  let shown = leaf as ShownCertificate | null | undefined
  while (shown?.raw !== undefined && chain.length < maximumChain) {
    chain.push(shown.raw)
    // A root names itself as its issuer.
    shown = shown.issuerCertificate === shown ? undefined : shown.issuerCertificate
  }
  return chain
}
