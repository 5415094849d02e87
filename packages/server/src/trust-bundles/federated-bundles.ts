import { type Bundle, type BundleSet, parseBundleDocument } from '@countersign/spiffe'
import type { ChangeFeed } from '../storage/change-feed.ts'
import { inTurn } from '../storage/in-turn.ts'
import type { Store } from '../storage/store.ts'

/**
 * The bundles of other trust domains, in memory, as the store has them. Each is asked for by the trust domain of the ID
 * at hand: there is no call that gives them together.
 */
export class FederatedBundles implements BundleSet {
  readonly #store: Store
  readonly #listeners = new Set<(trustDomain: string) => void>()
  #bundles = new Map<string, { text: string; bundle: Bundle }>()

  constructor(options: { store: Store; feed: ChangeFeed; onError?: (error: unknown) => void }) {
    this.#store = options.store
    options.feed.onChange(async (change) => {
      if (change !== 'everything' && change.kind !== 'trust_bundle') return
      await this.load().catch((error) => {
        options.onError?.(error)
        throw error
      })
    })
  }

  get(trustDomain: string): Bundle | undefined {
    return this.#bundles.get(trustDomain)?.bundle
  }

  /** Told when the bundle of a trust domain came, changed or went. @returns what ends it */
  onChange(listener: (trustDomain: string) => void): () => void {
    this.#listeners.add(listener)
    return () => void this.#listeners.delete(listener)
  }

  /** Reads all anew; they are few. @throws StoreError `unavailable`, and then they stay as they are */
  readonly load = inTurn(() => this.#read())

  async #read(): Promise<void> {
    const rows = await this.#store.database.selectFrom('trust_bundles').select(['trust_domain', 'bundle']).execute()
    const before = this.#bundles
    const after = new Map<string, { text: string; bundle: Bundle }>()
    for (const { trust_domain: name, bundle: text } of rows) {
      if (text === null) continue
      const known = before.get(name)
      after.set(name, known?.text === text ? known : { text, bundle: parseBundleDocument(name, text) })
    }
    this.#bundles = after
    for (const name of new Set([...before.keys(), ...after.keys()])) {
      if (before.get(name)?.text === after.get(name)?.text) continue
      for (const listener of this.#listeners) listener(name)
    }
  }
}
