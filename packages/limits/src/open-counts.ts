/** Counts what is open at once, by key and in all, and lets nobody open more than so many. */
export class OpenCounts<Key = string> {
  readonly #most: { one: number; all: number }
  readonly #byKey = new Map<Key, number>()
  #total = 0

  constructor(most: { one: number; all?: number }) {
    this.#most = { all: Number.POSITIVE_INFINITY, ...most }
  }

  /** @returns what takes it off again, once; undefined where there are too many */
  take(key: Key): (() => void) | undefined {
    const own = this.#byKey.get(key) ?? 0
    if (own >= this.#most.one || this.#total >= this.#most.all) return undefined
    this.#byKey.set(key, own + 1)
    this.#total += 1
    let isOpen = true
    return () => {
      if (!isOpen) return
      isOpen = false
      this.#total -= 1
      const left = (this.#byKey.get(key) ?? 1) - 1
      if (left > 0) this.#byKey.set(key, left)
      else this.#byKey.delete(key)
    }
  }
}
