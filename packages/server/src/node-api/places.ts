/** Who holds a place, and loses it by this. */
interface Holder {
  destroy(): void
}

/**
 * So many places, and so many of them for one key. When all are taken, who comes next has one of the key that holds most,
 * its oldest, unless that key is left with less than the comer's: however much a few hold, others find room.
 */
export class Places {
  readonly #most: number
  readonly #mostOfOne: number
  readonly #byKey = new Map<string, Set<Holder>>()
  #taken = 0

  constructor(most: number, mostOfOne: number) {
    this.#most = most
    this.#mostOfOne = mostOfOne
  }

  /** @returns what gives the place back, or undefined where there is none */
  take(key: string, holder: Holder): (() => void) | undefined {
    const own = this.#byKey.get(key)?.size ?? 0
    if (own >= this.#mostOfOne) return undefined
    if (this.#taken >= this.#most && !this.#makeRoom(own)) return undefined
    const holders = this.#byKey.get(key) ?? new Set()
    this.#byKey.set(key, holders.add(holder))
    this.#taken += 1
    return () => this.#giveBack(key, holder)
  }

  #makeRoom(own: number): boolean {
    let largest: { key: string; holders: ReadonlySet<Holder> } | undefined
    for (const [key, holders] of this.#byKey)
      if (holders.size > (largest?.holders.size ?? own + 1)) largest = { key, holders }
    if (largest === undefined) return false
    const [oldest] = largest.holders as Iterable<Holder> as [Holder]
    this.#giveBack(largest.key, oldest)
    oldest.destroy()
    return true
  }

  #giveBack(key: string, holder: Holder): void {
    const holders = this.#byKey.get(key)
    if (!holders?.delete(holder)) return
    this.#taken -= 1
    if (holders.size === 0) this.#byKey.delete(key)
  }
}
