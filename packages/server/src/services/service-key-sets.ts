import { LRUCache } from 'lru-cache'
import { createKeySet, type KeySet } from '../http/key-set.ts'
import { Problem } from '../http/problem.ts'
import type { ChangeFeed } from '../storage/change-feed.ts'
import type { Store } from '../storage/store.ts'
import { keysOf } from './service.ts'

export interface ServiceKeySetsOptions {
  store: Store
  feed: ChangeFeed
  /** How much of the key sets' text is kept. Default 16 Mi characters */
  maximumCharacters?: number
  /** How many names that are not registered are remembered as such. Default 10,000 */
  maximumAbsent?: number
  /** For how long they are. Default 5 s */
  absentMilliseconds?: number
  /** How many names may wait for one reading. Default 1,000 */
  maximumWaiting?: number
}

type Found = KeySet | undefined

/**
 * The services' key sets, from memory when it can, from the store when it must; never an old one after a change was
 * told. Anybody may ask for any name, so the store is asked for all that wait at once, by one query at a time: a flood
 * of made-up names costs no more than that, and does not keep out those who ask for a real one.
 */
export class ServiceKeySets {
  readonly #store: Store
  readonly #found: LRUCache<string, KeySet>
  readonly #absent: LRUCache<string, true>
  readonly #maximumWaiting: number
  #waiting = new Map<string, PromiseWithResolvers<Found>>()
  #isReading = false
  /** Grows with every change told; what was read before a change must not be kept after it. */
  #generation = 0

  constructor(options: ServiceKeySetsOptions) {
    this.#store = options.store
    this.#maximumWaiting = options.maximumWaiting ?? 1_000
    this.#found = new LRUCache({
      maxSize: options.maximumCharacters ?? 16 * 1024 * 1024,
      sizeCalculation: ({ text }) => text.length + 500,
    })
    this.#absent = new LRUCache({
      maxSize: options.maximumAbsent ?? 10_000,
      sizeCalculation: () => 1,
      ttl: options.absentMilliseconds ?? 5_000,
    })
    options.feed.onChange((change) => {
      if (change === 'everything') this.#forget()
      else if (change.kind === 'service') this.#forget(change.id)
    })
  }

  /**
   * @param name short, and well-formed
   * @throws Problem `unavailable` when too many wait; StoreError `unavailable`
   */
  find(name: string): Found | Promise<Found> {
    const known = this.#found.get(name)
    if (known || this.#absent.has(name)) return known
    const underway = this.#waiting.get(name)
    if (underway) return underway.promise
    if (this.#waiting.size >= this.#maximumWaiting) {
      throw new Problem(503, 'unavailable', 'too many services are looked up at once: try again')
    }
    const lookUp = Promise.withResolvers<Found>()
    this.#waiting.set(name, lookUp)
    if (!this.#isReading) void this.#readWaiting()
    return lookUp.promise
  }

  #forget(name?: string): void {
    this.#generation += 1
    if (name === undefined) {
      this.#found.clear()
      this.#absent.clear()
    } else {
      this.#found.delete(name)
      this.#absent.delete(name)
    }
  }

  async #readWaiting(): Promise<void> {
    this.#isReading = true
    while (this.#waiting.size > 0) {
      const asked = this.#waiting
      // Who comes from here on waits for the next reading: this one might not see what was changed since.
      this.#waiting = new Map()
      const generation = this.#generation
      try {
        const sets = await this.#read([...asked.keys()])
        for (const [name, { resolve }] of asked) {
          if (generation === this.#generation) this.#keep(name, sets.get(name))
          resolve(sets.get(name))
        }
      } catch (error) {
        for (const { reject } of asked.values()) reject(error)
      }
    }
    this.#isReading = false
  }

  #keep(name: string, set: Found): void {
    if (set) this.#found.set(name, set)
    else this.#absent.set(name, true)
  }

  async #read(names: readonly string[]): Promise<Map<string, KeySet>> {
    const rows = await this.#store.database
      .selectFrom('services')
      .select(['name', 'keys'])
      .where('name', 'in', names)
      .execute()
    return new Map(rows.map((row) => [row.name, createKeySet(keysOf(row))]))
  }
}
