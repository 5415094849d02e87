import { type KeyObject, randomBytes } from 'node:crypto'
import { CompiledQuery } from 'kysely'
import { type Statement, type Store, StoreError, type StoreTransaction } from '../storage/store.ts'
import { appendStatements } from './append-statements.ts'
import { chainHash, chainStart, eventText, signHead } from './chain.ts'
import type { AuditFact, ChainedEvent } from './event.ts'
import { storable } from './storable.ts'

/** What is written at once at the most: bounds the memory of one statement, not the throughput. */
const largestCommit = 512
/** Under load a commit waits for company, this many events or this long: each commit costs an fsync, however small. */
const goodCommit = 32
const longestGathering = 4
/** So many events in the last commit are load; below it nobody waits for others. */
const busyCommit = 8
/** Beyond this many waiting events the log refuses: the store has stopped, and memory must not pay for it. */
const largestBacklog = 20_000

interface Waiting {
  fact: AuditFact
  time: number
  resolve: () => void
  reject: (error: Error) => void
}

/** What a change is recorded as; a function, called after the change, where that depends on what the change found. */
type Facts = AuditFact | (() => AuditFact | readonly AuditFact[])

interface WaitingChange {
  fact: Facts
  change: (transaction: StoreTransaction) => Promise<unknown>
  resolve: (result: unknown) => void
  reject: (error: Error) => void
}

/**
 * Writes one hash chain, many events a commit. An event's promise resolves when the commit is durable, so whoever
 * awaits it before answering can never have answered without a row.
 */
export class AuditLog {
  readonly #store: Store
  readonly #key: KeyObject
  readonly #nowMilliseconds: () => number
  readonly #afterChange: () => Promise<void>
  readonly #listeners = new Set<(events: readonly ChainedEvent[]) => void>()
  #chain: string
  #sequence = 0
  #hash = chainStart
  /** False when a commit failed half-way: then only the store knows where the chain ends. */
  #positionKnown = false
  #facts: Waiting[] = []
  #changes: WaitingChange[] = []
  #writing: Promise<void> | undefined
  #lastCommit = { at: 0, size: 0 }
  #onCompany: (() => void) | undefined

  /** @param options.afterChange is waited for before a change counts as made; it must not fail */
  constructor(options: {
    store: Store
    key: KeyObject
    chain: string
    nowMilliseconds?: () => number
    afterChange?: () => Promise<void>
  }) {
    this.#store = options.store
    this.#key = options.key
    this.#chain = options.chain
    this.#nowMilliseconds = options.nowMilliseconds ?? Date.now
    this.#afterChange = options.afterChange ?? (async () => {})
  }

  get chain(): string {
    return this.#chain
  }

  /** @throws StoreError `unavailable`: the event could not be made durable, so what it speaks of must not be answered */
  record(fact: AuditFact): Promise<void> {
    if (this.#facts.length >= largestBacklog) {
      return Promise.reject(new StoreError('unavailable', 'the audit log is backed up: the database does not keep up'))
    }
    return new Promise((resolve, reject) => {
      this.#facts.push({ fact, time: this.#nowMilliseconds(), resolve, reject })
      if (this.#facts.length >= goodCommit) this.#onCompany?.()
      this.#start()
    })
  }

  /**
   * Makes a change and records it in one transaction: neither can be without the other.
   */
  recordChange<T>(fact: Facts, change: (transaction: StoreTransaction) => Promise<T>): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      this.#changes.push({ fact, change, resolve: resolve as (result: unknown) => void, reject })
      this.#start()
    })
  }

  /** Calls back with events that have become durable, for live streams. */
  onCommitted(listener: (events: readonly ChainedEvent[]) => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  /** Resolves when all that was recorded before the call is durable or refused. */
  async flush(): Promise<void> {
    while (this.#writing) await this.#writing
  }

  #start(): void {
    // Waiting for the end of this turn of the event loop lets everything that arrived together commit together.
    this.#writing ??= new Promise<void>((resolve) => setImmediate(resolve)).then(() => this.#drain())
  }

  async #drain(): Promise<void> {
    while (this.#facts.length > 0 || this.#changes.length > 0) {
      if (this.#facts.length > 0) await this.#commitFacts(await this.#gather())
      const change = this.#changes.shift()
      if (change) await this.#commitChange(change)
    }
    // At once, not when the promise settles: what is recorded in between would find a writer that has looked already.
    this.#writing = undefined
  }

  async #gather(): Promise<readonly Waiting[]> {
    const wait = this.#lastCommit.at + longestGathering - performance.now()
    if (wait > 0 && this.#lastCommit.size >= busyCommit && this.#facts.length < goodCommit) {
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, wait)
        this.#onCompany = () => {
          clearTimeout(timer)
          resolve()
        }
      })
      this.#onCompany = undefined
    }
    const gathered = this.#facts.splice(0, largestCommit)
    this.#lastCommit = { at: performance.now(), size: gathered.length }
    return gathered
  }

  async #commitFacts(waiting: readonly Waiting[]): Promise<void> {
    try {
      const events = await this.#retrying(async () => {
        if (!this.#positionKnown) await this.#store.transaction((transaction) => this.#findPosition(transaction))
        const { events, statements } = this.#chainOn(waiting)
        await this.#store.write(statements)
        return events
      })
      this.#advance(events)
      for (const { resolve } of waiting) resolve()
    } catch (error) {
      this.#positionKnown = false
      for (const { reject } of waiting) reject(asUnavailable(error))
    }
  }

  async #commitChange({ fact, change, resolve, reject }: WaitingChange): Promise<void> {
    // What the store throws before and after the change is the log's own business.
    let changing = false
    try {
      const { events, result } = await this.#retrying(
        () =>
          this.#store.transaction(async (transaction) => {
            await this.#findPosition(transaction)
            changing = true
            const result = await change(transaction)
            changing = false
            const told = typeof fact === 'function' ? fact() : fact
            const time = this.#nowMilliseconds()
            const { events, statements } = this.#chainOn([told].flat().map((each) => ({ fact: each, time })))
            for (const { sql, parameters } of statements) {
              await transaction.executeQuery(CompiledQuery.raw(sql, [...parameters]))
            }
            return { events, result }
          }),
        () => !changing,
      )
      this.#advance(events)
      // Not waited for here: what is told of the change may itself have something to record.
      void this.#afterChange().finally(() => resolve(result))
    } catch (error) {
      this.#positionKnown = false
      // What the change itself threw (not found, conflict) is its caller's business.
      reject(changing ? (error as Error) : asUnavailable(error))
    }
  }

  /**
   * Another process may write the same chain: two on one SQLite file, or two replicas of one name. Whoever comes second
   * finds the place taken, looks where the chain ends now, and writes there; who comes second again and again begins
   * a chain of its own.
   */
  async #retrying<T>(write: () => Promise<T>, ours: () => boolean = () => true): Promise<T> {
    for (let attempt = 1; ; attempt += 1) {
      try {
        return await write()
      } catch (error) {
        this.#positionKnown = false
        if (attempt === 4 || !ours() || !(error instanceof StoreError) || error.code !== 'conflict') throw error
        if (attempt === 3) this.#beginChain()
      }
    }
  }

  async #findPosition(transaction: StoreTransaction): Promise<void> {
    if (this.#positionKnown) return
    const last = await transaction
      .selectFrom('audit_events')
      .select(['sequence', 'hash'])
      .where('chain', '=', this.#chain)
      .orderBy('sequence', 'desc')
      .limit(1)
      .executeTakeFirst()
    const head = await transaction
      .selectFrom('audit_heads')
      .select(['sequence', 'hash'])
      .where('chain', '=', this.#chain)
      .executeTakeFirst()
    // Writing on where rows were cut off or altered would sign the damage away: leave that chain as it is, for
    // `audit verify` to name, and begin another.
    if (last?.sequence !== head?.sequence || last?.hash !== head?.hash) {
      this.#beginChain()
      return
    }
    this.#sequence = last?.sequence ?? 0
    this.#hash = last?.hash ?? chainStart
    this.#positionKnown = true
  }

  #beginChain(): void {
    this.#chain = `${this.#chain.split('~')[0]}~${randomBytes(4).toString('hex')}`
    this.#sequence = 0
    this.#hash = chainStart
    this.#positionKnown = true
  }

  /** The next events of the chain, and what writes them; the chain itself goes on only when that is committed. */
  #chainOn(waiting: readonly Pick<Waiting, 'fact' | 'time'>[]): {
    events: ChainedEvent[]
    statements: readonly Statement[]
  } {
    let { sequence, hash } = { sequence: this.#sequence, hash: this.#hash }
    const events: ChainedEvent[] = []
    const rows: unknown[][] = []
    for (const { fact, time } of waiting) {
      sequence += 1
      const event = { ...storable(fact), chain: this.#chain, sequence, time: new Date(time).toISOString() }
      const text = eventText(event)
      hash = chainHash(hash, text)
      events.push({ ...event, hash })
      rows.push([event.chain, sequence, event.time, event.type, event.outcome, event.client_id ?? null, text, hash])
    }
    const headTime = new Date(this.#nowMilliseconds()).toISOString()
    const head = signHead({ chain: this.#chain, sequence, hash, time: headTime }, this.#key)
    return { events, statements: appendStatements(this.#store.kind, rows, head) }
  }

  #advance(events: readonly ChainedEvent[]): void {
    const last = events.at(-1)
    if (!last) return
    this.#sequence = last.sequence
    this.#hash = last.hash
    for (const listener of this.#listeners) listener(events)
  }
}

function asUnavailable(error: unknown): StoreError {
  if (error instanceof StoreError && error.code === 'unavailable') return error
  return new StoreError('unavailable', `the audit event could not be written: ${(error as Error).message}`, {
    cause: error,
  })
}
