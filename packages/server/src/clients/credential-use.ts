import type { Statement, Store } from '../storage/store.ts'

const writeMilliseconds = 10_000
/** Thousands of clients are one fsync, not thousands; and no transaction holds up the tokens for long. */
const largestWrite = 500

/** Remembers when each credential was last used, and writes it now and then: never on the path of a token. */
export class CredentialUse {
  readonly #store: Store
  readonly #now: () => number
  readonly #used = { secret: new Map<string, number>(), key: new Map<string, number>() }
  readonly #timer: NodeJS.Timeout

  constructor(store: Store, now: () => number) {
    this.#store = store
    this.#now = now
    this.#timer = setInterval(() => void this.write().catch(() => {}), writeMilliseconds)
    this.#timer.unref()
  }

  note(kind: 'secret' | 'key', id: string): void {
    this.#used[kind].set(id, this.#now())
  }

  async write(): Promise<void> {
    await this.#writeKind('secret', 'client_secrets')
    await this.#writeKind('key', 'client_keys')
  }

  async stop(): Promise<void> {
    clearInterval(this.#timer)
    // Losing the last ten seconds of "last used" is better than not ending.
    await this.write().catch(() => {})
  }

  async #writeKind(kind: 'secret' | 'key', table: 'client_secrets' | 'client_keys'): Promise<void> {
    const used = [...this.#used[kind]]
    this.#used[kind].clear()
    for (let start = 0; start < used.length; start += largestWrite) {
      await this.#store.write(
        used.slice(start, start + largestWrite).map(([id, time]) => this.#update(table, id, time)),
      )
    }
  }

  #update(table: 'client_secrets' | 'client_keys', id: string, time: number): Statement {
    return this.#store.database
      .updateTable(table)
      .set({ last_used_at: time })
      .where('id', '=', id)
      .where((row) => row.or([row('last_used_at', 'is', null), row('last_used_at', '<', time)]))
      .compile()
  }
}
