import { type RegistrationEntry, type Selector, selectorText } from './registration-entry.ts'

interface Alias {
  entry: RegistrationEntry
  selectors: readonly string[]
  /** The one of its selectors under which it is found */
  under: string
}

/** Finds the aliases of nodes, entries whose parent is the server, by the selectors that a node has. */
export class AliasIndex {
  readonly #aliases = new Map<string, Alias>()
  readonly #bySelector = new Map<string, Set<Alias>>()
  readonly #sets = new WeakMap<readonly Selector[], ReadonlySet<string>>()

  add(entry: RegistrationEntry): void {
    const selectors = entry.selectors.map(selectorText)
    // Under the rarest, so that a selector which every node has does not bring up every alias.
    const [under] = selectors.toSorted((one, other) => this.#countUnder(one) - this.#countUnder(other))
    // An alias that demands nothing would be every node's.
    if (under === undefined) return
    const alias = { entry, selectors, under }
    this.#aliases.set(entry.id, alias)
    const others = this.#bySelector.get(under)
    if (others) others.add(alias)
    else this.#bySelector.set(under, new Set([alias]))
  }

  delete(entryId: string): void {
    const alias = this.#aliases.get(entryId)
    if (!alias) return
    this.#aliases.delete(entryId)
    const others = this.#bySelector.get(alias.under)
    others?.delete(alias)
    if (others?.size === 0) this.#bySelector.delete(alias.under)
  }

  /** Those of whose selectors the node has every one. */
  matching(selectors: readonly Selector[]): RegistrationEntry[] {
    if (this.#aliases.size === 0) return []
    const has = this.#setOf(selectors)
    const found: RegistrationEntry[] = []
    for (const selector of has) {
      for (const alias of this.#bySelector.get(selector) ?? []) {
        if (alias.selectors.every((text) => has.has(text))) found.push(alias.entry)
      }
    }
    return found
  }

  #countUnder(selector: string): number {
    return this.#bySelector.get(selector)?.size ?? 0
  }

  #setOf(selectors: readonly Selector[]): ReadonlySet<string> {
    let set = this.#sets.get(selectors)
    if (!set) {
      set = new Set(selectors.map(selectorText))
      this.#sets.set(selectors, set)
    }
    return set
  }
}
