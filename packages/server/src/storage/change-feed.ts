import { sql } from 'kysely'
import { notifyChannel } from './postgres.ts'
import type { Store, StoreTransaction } from './store.ts'

export type ChangeKind = 'client' | 'api' | 'signing_key' | 'revocation'

export interface Change {
  revision: number
  kind: ChangeKind
  id: string
}

const pollMilliseconds = 500
const keptSeconds = 3600

/**
 * Writes down, in the transaction of the change itself, what changed. Taking the counter's row lock makes revisions
 * commit in order, so that a reader who has seen revision N will never find a smaller one later.
 */
export async function announce(
  transaction: StoreTransaction,
  store: Pick<Store, 'kind'>,
  change: { kind: ChangeKind; id: string; at: number },
): Promise<number> {
  const { value: revision } = await transaction
    .updateTable('store_revision')
    .set((row) => ({ value: row('value', '+', 1) }))
    .where('id', '=', 1)
    .returning('value')
    .executeTakeFirstOrThrow()
  await transaction
    .insertInto('changes')
    .values({ revision, ...change })
    .execute()
  if (store.kind === 'postgres') await sql`select pg_notify(${notifyChannel}, '')`.execute(transaction)
  return revision
}

/**
 * Tells this replica what any replica has changed: at once by notification, and within half a second by asking, so
 * that a lost notification costs nothing but that.
 */
export class ChangeFeed {
  readonly #store: Store
  readonly #listeners = new Set<(change: Change | 'everything') => void | Promise<void>>()
  #revision = 0
  #timer: NodeJS.Timeout | undefined
  #stopListening: (() => Promise<void>) | undefined
  #running: Promise<void> | undefined
  #again = false

  constructor(store: Store) {
    this.#store = store
  }

  /**
   * `'everything'` means: forget all that you know, the feed cannot tell what changed. A promise that the listener
   * returns is waited for, and must not fail: the change counts as told when it resolves.
   */
  onChange(listener: (change: Change | 'everything') => void | Promise<void>): void {
    this.#listeners.add(listener)
  }

  async start(): Promise<void> {
    this.#revision = await this.#latest()
    this.#stopListening = await this.#store.listen(() => void this.catchUp())
    if (this.#store.kind === 'postgres') {
      this.#timer = setInterval(() => void this.catchUp(), pollMilliseconds)
      this.#timer.unref()
    }
  }

  /** Resolves when every change committed before the call has been told. */
  async catchUp(): Promise<void> {
    if (this.#running) {
      this.#again = true
      return this.#running
    }
    this.#running = this.#drain().finally(() => {
      this.#running = undefined
    })
    return this.#running
  }

  async stop(): Promise<void> {
    clearInterval(this.#timer)
    await this.#stopListening?.()
    await this.#running
  }

  async #drain(): Promise<void> {
    do {
      this.#again = false
      try {
        await this.#readOnce()
      } catch {
        // Out of touch with the store, what is cached may be wrong: forget it, and what asks next will ask the store.
        await this.#tell('everything')
        return
      }
    } while (this.#again)
  }

  async #readOnce(): Promise<void> {
    const rows = await this.#store.database
      .selectFrom('changes')
      .selectAll()
      .where('revision', '>', this.#revision)
      .orderBy('revision')
      .limit(1000)
      .execute()
    const first = rows[0]
    const last = rows.at(-1)
    if (!first || !last) return
    if (first.revision !== this.#revision + 1) await this.#tell('everything')
    for (const { revision, kind, id } of rows) await this.#tell({ revision, kind: kind as ChangeKind, id })
    this.#revision = last.revision
    if (rows.length === 1000) this.#again = true
  }

  async #tell(change: Change | 'everything'): Promise<void> {
    await Promise.all([...this.#listeners].map((listener) => listener(change)))
  }

  async #latest(): Promise<number> {
    const row = await this.#store.database.selectFrom('store_revision').select('value').executeTakeFirst()
    return row?.value ?? 0
  }
}

/** Changes older than an hour are of use to no one: a replica that slept longer starts afresh. */
export async function pruneChanges(store: Store, now: number): Promise<void> {
  await store.database
    .deleteFrom('changes')
    .where('at', '<', now - keptSeconds)
    .execute()
}
