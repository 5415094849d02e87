import type { Bundle } from '../bundles/bundle.ts'
import { parseTrustDomain } from '../ids/spiffe-id.ts'
import { SpiffeError } from '../spiffe-error.ts'

/** The bundles of all trust domains whose members one may believe, by name; each counts for its own trust domain only. */
export type TrustBundles = ReadonlyMap<string, Bundle>

/** Hears of a bundle that cannot be read and is left out. */
export type OnUnreadable = (error: SpiffeError) => void

/** For who asks once: a bundle that cannot be read is an error. */
export const throwUnreadable: OnUnreadable = (error) => {
  throw error
}

/**
 * The bundles of an answer, by trust domain. One that cannot be read is left out, so that nobody of its trust domain is
 * believed: what a partner publishes must not keep workloads here from their own rotation.
 */
export function readBundles<Content>(
  received: { readonly [trustDomain: string]: Content },
  read: (trustDomain: string, content: Content) => Bundle,
  onUnreadable: OnUnreadable,
): Map<string, Bundle> {
  const bundles = new Map<string, Bundle>()
  for (const [name, content] of Object.entries(received)) {
    try {
      const trustDomain = parseTrustDomain(name)
      bundles.set(trustDomain, read(trustDomain, content))
    } catch (error) {
      if (!(error instanceof SpiffeError)) throw error
      onUnreadable(error)
    }
  }
  return bundles
}

/** In place, so that whoever was given `bundles` has the new ones. */
export function replaceBundles(bundles: Map<string, Bundle>, by: TrustBundles): void {
  bundles.clear()
  for (const [trustDomain, bundle] of by) bundles.set(trustDomain, bundle)
}
