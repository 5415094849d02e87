import type { Bundle, BundleSet } from '@countersign/spiffe'
import type { ReceivedBundle } from './received-bundle.ts'

/** The bundles of this trust domain and of those that its entries federate with; each by itself, never merged. */
export interface BundleStore extends BundleSet {
  /** This trust domain's own. */
  own(): ReceivedBundle | undefined
  /** Takes the place of everything known; a federated one that is not among `federated`, if given, is forgotten. */
  replace(own: ReceivedBundle, federated?: ReadonlyMap<string, ReceivedBundle>): void
  /** Called after a change of what some bundle says. */
  onChange(listener: () => void): () => void
}

export function createBundleStore(trustDomain: string): BundleStore {
  let bundles = new Map<string, ReceivedBundle>()
  const listeners = new Set<() => void>()
  return {
    get: (name: string): Bundle | undefined => bundles.get(name)?.bundle,
    own: () => bundles.get(trustDomain),
    replace(own, federated = bundles) {
      const next = new Map([...federated, [trustDomain, own] as const])
      const same =
        next.size === bundles.size &&
        [...next].every(([name, { fingerprint }]) => bundles.get(name)?.fingerprint === fingerprint)
      if (same) return
      bundles = next
      for (const listener of listeners) listener()
    },
    onChange(listener) {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
  }
}
