import { sql } from 'kysely'
import { notifyChannel } from './notify-channel.ts'
import type { Store, StoreTransaction } from './store.ts'

export type ChangeKind =
  | 'client'
  | 'api'
  | 'service'
  | 'signing_key'
  | 'revocation'
  | 'certificate_authority'
  | 'trust_bundle'
  | 'entry'
  | 'node'

export interface Change {
  revision: number
  kind: ChangeKind
  id: string
}

const retryMilliseconds = 500
const largestRead = 1000
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
  const revision = await nextRevision(transaction)
  await transaction
    .insertInto('changes')
    .values({ revision, ...change })
    .execute()
  if (store.kind === 'postgres') await sql`select pg_notify(${notifyChannel}, '')`.execute(transaction)
  return revision
}

/** Holds up every other change until the transaction ends. */
export async function nextRevision(transaction: StoreTransaction): Promise<number> {
  const { value } = await transaction
    .updateTable('store_revision')
    .set((row) => ({ value: row('value', '+', 1) }))
    .where('id', '=', 1)
    .returning('value')
    .executeTakeFirstOrThrow()
  return value
}

/** May be asynchronous; what it rejects with makes the feed tell it `'everything'` until it succeeds. */
export type ChangeListener = (change: Change | 'everything') => unknown

/**
 * Tells this replica what any replica has changed: at once by notification, and within half a second by asking, so
 * that a lost notification costs nothing but that.
 */
export class ChangeFeed {
  readonly #store: Store
  readonly #pollMilliseconds: number
  readonly #listeners = new Set<ChangeListener>()
  #revision = 0
  /** Out of touch with the store, or a listener has failed: what was told counts for nothing. */
  #lost = false
  #timer: NodeJS.Timeout | undefined
  #retry: NodeJS.Timeout | undefined
  #stopListening: (() => Promise<void>) | undefined
  #running: Promise<void> | undefined
  #runningSince = 0
  #again = false
  #stopped = false

  constructor(store: Store, { pollMilliseconds = 500 }: { pollMilliseconds?: number } = {}) {
    this.#store = store
    this.#pollMilliseconds = pollMilliseconds
  }

  /** `'everything'` means: forget all that you know, the feed cannot tell what changed. */
  onChange(listener: ChangeListener): void {
    this.#listeners.add(listener)
  }

  async start(): Promise<void> {
    this.#revision = await latestRevision(this.#store)
    this.#stopListening = await this.#store.listen(() => void this.catchUp())
    if (this.#store.kind === 'postgres') {
      this.#timer = setInterval(() => this.#poll(), this.#pollMilliseconds)
      this.#timer.unref()
    }
  }

  /** Resolves when every change committed before the call has been told, or the store cannot be asked. */
  async catchUp(): Promise<void> {
    if (this.#running) {
      this.#again = true
      return this.#running
    }
    this.#runningSince = performance.now()
    this.#running = this.#drain()
    return this.#running
  }

  async stop(): Promise<void> {
    this.#stopped = true
    clearInterval(this.#timer)
    clearTimeout(this.#retry)
    await this.#stopListening?.()
    await this.#running
  }

  #poll(): void {
    // A store that lets us wait may have been changed meanwhile: what is cached is not known to be right any more.
    if (this.#running && performance.now() - this.#runningSince > this.#pollMilliseconds) {
      void this.#tell('everything').catch(() => {})
    }
    void this.catchUp()
  }

  async #drain(): Promise<void> {
    do {
      this.#again = false
      try {
        await this.#readOnce()
      } catch {
        this.#lose()
      }
    } while (this.#again && !this.#lost)
    // At once, not when the promise settles: a call in between would wait for a reading that is over.
    this.#running = undefined
  }

  /** Forgets everything now; the next reading that succeeds forgets it once more and goes on from there. */
  #lose(): void {
    this.#lost = true
    void this.#tell('everything').catch(() => {})
    if (this.#stopped) return
    clearTimeout(this.#retry)
    this.#retry = setTimeout(() => void this.catchUp(), retryMilliseconds)
    this.#retry.unref()
  }

  async #readOnce(): Promise<void> {
    const latest = await latestRevision(this.#store)
    if (this.#lost || latest < this.#revision) {
      // After a failover or a restore the counter may have gone back: its numbers mean other changes now.
      await this.#tell('everything')
      this.#revision = latest
      this.#lost = false
      return
    }
    if (latest === this.#revision) return
    const rows = await this.#store.database
      .selectFrom('changes')
      .selectAll()
      .where('revision', '>', this.#revision)
      .orderBy('revision')
      .limit(largestRead)
      .execute()
    const complete = rows[0]?.revision === this.#revision + 1
    if (!complete) await this.#tell('everything')
    else for (const { revision, kind, id } of rows) await this.#tell({ revision, kind: kind as ChangeKind, id })
    this.#revision = complete ? (rows.at(-1)?.revision ?? latest) : Math.max(latest, rows.at(-1)?.revision ?? 0)
    if (rows.length === largestRead) this.#again = true
  }

  async #tell(change: Change | 'everything'): Promise<void> {
    await Promise.all([...this.#listeners].map((listener) => listener(change)))
  }
}

async function latestRevision({ database }: Store): Promise<number> {
  const row = await database.selectFrom('store_revision').select('value').executeTakeFirst()
  return row?.value ?? 0
}

/** Changes older than an hour are of use to no one: a replica that slept longer starts afresh. */
export async function pruneChanges(store: Store, now: number): Promise<void> {
  await store.database
    .deleteFrom('changes')
    .where('at', '<', now - keptSeconds)
    .execute()
}
