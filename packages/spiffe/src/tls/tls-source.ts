import type { Bundle, BundleSet } from '../bundles/bundle.ts'
import type { X509Svid } from '../svids/x509-svid.ts'

/** Where TLS takes one's identity and the bundles of others from: an `X509Source`, or anything of its shape. */
export interface TlsSource {
  /** @throws SpiffeError when there is none, or only an expired one */
  svid(): X509Svid
  /** A Map of bundles by trust domain is one. */
  readonly bundles: BundleSet & { values(): Iterable<Bundle> }
  /** `listener` is called after every change of the SVID or the bundles. */
  onUpdate(listener: () => void): () => void
}
