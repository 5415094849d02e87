import type { Bundle } from '../bundles/bundle.ts'
import { parseTrustDomain } from '../ids/spiffe-id.ts'
import { SpiffeError } from '../spiffe-error.ts'

/** The bundles of all trust domains whose members one may believe, by name; each counts for its own trust domain only. */
export type TrustBundles = ReadonlyMap<string, Bundle>

/**
 * Bundles keyed by the SPIFFE IDs of their trust domains. One that cannot be read is left out and told to `onError`: what
 * another trust domain publishes must not keep one's own identity from being renewed.
 */
export function readBundles(
  byId: Readonly<Record<string, Uint8Array>>,
  read: (trustDomain: string, bytes: Uint8Array) => Bundle,
  onError: (error: SpiffeError) => void,
): Map<string, Bundle> {
  const bundles = new Map<string, Bundle>()
  for (const [id, bytes] of Object.entries(byId)) {
    try {
      const trustDomain = parseTrustDomain(id)
      bundles.set(trustDomain, read(trustDomain, bytes))
    } catch (error) {
      if (!(error instanceof SpiffeError)) throw error
      onError(error)
    }
  }
  return bundles
}

/** In place, so that whoever was given `bundles` has the new ones. */
export function replaceBundles(bundles: Map<string, Bundle>, by: TrustBundles): void {
  bundles.clear()
  for (const [trustDomain, bundle] of by) bundles.set(trustDomain, bundle)
}
