import { isDeepStrictEqual } from 'node:util'
import type { ChangeFeed } from '../storage/change-feed.ts'
import type { Store } from '../storage/store.ts'
import { EntryIndex } from './entry-index.ts'
import { entryOf } from './registration-entry.ts'

export interface RegistrationEntriesOptions {
  store: Store
  feed: ChangeFeed
  trustDomain: string
}

/**
 * The entry index of this replica, kept as the store is: each change is read by itself, and everything anew only when
 * the feed cannot tell what changed. Out of touch with the store the index stays as it was; issuing needs the store.
 */
export class RegistrationEntries {
  readonly index: EntryIndex
  readonly #store: Store
  /** Readings follow each other, so that an older one never overwrites a younger. */
  #last: Promise<void> = Promise.resolve()
  #nextLoad: Promise<void> | undefined

  constructor({ store, feed, trustDomain }: RegistrationEntriesOptions) {
    this.index = new EntryIndex(trustDomain)
    this.#store = store
    feed.onChange((change) => {
      if (change === 'everything') return this.load()
      return change.kind === 'entry' ? this.#after(() => this.#readOne(change.id)) : undefined
    })
  }

  /**
   * Reads all. Calls that come while one is waiting for its turn share that one.
   * @throws StoreError `unavailable`, and then the index stays as it is
   */
  load(): Promise<void> {
    this.#nextLoad ??= this.#after(() => {
      this.#nextLoad = undefined
      return this.#readAll()
    })
    return this.#nextLoad
  }

  #after(read: () => Promise<void>): Promise<void> {
    const reading = this.#last.then(read)
    this.#last = reading.catch(() => {})
    return reading
  }

  async #readOne(id: string): Promise<void> {
    const row = await this.#store.database
      .selectFrom('registration_entries')
      .selectAll()
      .where('id', '=', id)
      .executeTakeFirst()
    if (row) this.index.set(entryOf(row))
    else this.index.delete(id)
  }

  async #readAll(): Promise<void> {
    const rows = await this.#store.database.selectFrom('registration_entries').selectAll().orderBy('id').execute()
    const gone = new Set([...this.index.entries()].map(({ id }) => id))
    for (const row of rows) {
      gone.delete(row.id)
      const entry = entryOf(row)
      // What did not change stays the same object, with all that was derived from it.
      if (!isDeepStrictEqual(this.index.get(row.id), entry)) this.index.set(entry)
    }
    for (const id of gone) this.index.delete(id)
  }
}
