import { BackOff } from '@countersign/outbound/back-off'
import { reasonOf } from '../agent-error.ts'
import type { AgentLog } from '../agent-log.ts'
import { isSignedUnder } from '../bundles/received-bundle.ts'
import { type Clock, nowSeconds } from '../clock.ts'
import type { AuthorizedEntry } from '../entries/authorized-entry.ts'
import type { IssuanceResult, IssuedX509Svid } from './issue-x509-svids.ts'
import { renewalTime } from './renewal.ts'

export interface X509SvidCacheOptions {
  readonly issue: (
    entries: readonly AuthorizedEntry[],
    onIssued: (results: readonly IssuanceResult[]) => void,
  ) => Promise<void>
  readonly clock: Clock
  readonly random: () => number
  readonly log: AgentLog
  /** How many SVIDs are kept ready without anybody having asked. */
  readonly prefetch: number
  /** The server signs again after it did not. */
  readonly onBack: () => void
}

interface CacheSlot {
  entry: AuthorizedEntry
  /** A workload asked for it, and its identity has not ended since. */
  demanded: boolean
  /** All its workloads have ended: nothing is made ready until the next one asks. */
  ended: boolean
  svid?: IssuedX509Svid
  /** Milliseconds since the epoch; of a missing SVID, when to try again. */
  dueAt: number
  problem?: string
  failures: number
}

const firstRetryMilliseconds = 1_000
const longestRetryMilliseconds = 30_000

/**
 * The SVIDs of this node's entries, renewed before anybody asks. One that cannot be renewed is served until it expires;
 * an expired one never.
 */
export class X509SvidCache {
  readonly #options: X509SvidCacheOptions
  readonly #slots = new Map<string, CacheSlot>()
  readonly #listeners = new Set<() => void>()
  readonly #backOff
  #notBefore = 0
  #working = false
  #stopped = false
  #cancelTimer: () => void = () => {}

  constructor(options: X509SvidCacheOptions) {
    this.#options = options
    const { random } = options
    this.#backOff = new BackOff({
      firstMilliseconds: firstRetryMilliseconds,
      longestMilliseconds: longestRetryMilliseconds,
      random,
    })
  }

  /** The entries that exist now; SVIDs of others are forgotten, those of changed ones are replaced. */
  setEntries(entries: ReadonlyMap<string, AuthorizedEntry>): void {
    for (const id of this.#slots.keys()) if (!entries.has(id)) this.#slots.delete(id)
    for (const entry of entries.values()) {
      if (entry.storeSvid) continue
      const slot = this.#slots.get(entry.id)
      if (slot === undefined) {
        this.#slots.set(entry.id, { entry, demanded: false, ended: false, dueAt: 0, failures: 0 })
      } else if (slot.entry !== entry) {
        Object.assign(slot, { entry, dueAt: 0, failures: 0 })
        // Another ID is another identity; its SVID must not be served for a moment.
        if (slot.svid !== undefined && slot.svid.entry.spiffeId !== entry.spiffeId) delete slot.svid
      }
    }
    this.#work()
  }

  /** The entry's SVID, if there is one that has not expired. */
  get(entryId: string): IssuedX509Svid | undefined {
    const svid = this.#slots.get(entryId)?.svid
    return svid !== undefined && svid.expiresAt > nowSeconds(this.#options.clock) ? svid : undefined
  }

  /** Why there is none, if the server said so. */
  problemOf(entryId: string): string | undefined {
    return this.#slots.get(entryId)?.problem
  }

  /** A workload wants this entry's SVID: it is fetched, and renewed from now on. */
  demand(entryId: string): void {
    const slot = this.#slots.get(entryId)
    if (slot === undefined || (slot.demanded && !slot.ended)) return
    slot.demanded = true
    slot.ended = false
    if (this.get(entryId) === undefined) this.#work()
  }

  /** The identity ended: key and certificate are forgotten. */
  drop(entryId: string): void {
    const slot = this.#slots.get(entryId)
    if (slot === undefined) return
    delete slot.svid
    Object.assign(slot, { demanded: false, ended: true, dueAt: 0, failures: 0 })
  }

  /** SVIDs under these authorities (subject key ids) are replaced at once. */
  replaceTainted(authorities: ReadonlySet<string>): void {
    let found = false
    for (const slot of this.#slots.values()) {
      if (!isSignedUnder(slot.svid?.certificates ?? [], authorities)) continue
      slot.dueAt = 0
      found = true
    }
    if (found) this.#work()
  }

  /** Called after SVIDs were issued. */
  onChange(listener: () => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  get size(): number {
    let count = 0
    for (const id of this.#slots.keys()) if (this.get(id)) count += 1
    return count
  }

  /** Ends the pause after a failure: the server was heard to answer others. */
  hurry(): void {
    if (this.#notBefore === 0) return
    this.#notBefore = 0
    void this.#work()
  }

  stop(): void {
    this.#stopped = true
    this.#cancelTimer()
    this.#slots.clear()
  }

  async #work(): Promise<void> {
    if (this.#working || this.#stopped) return
    this.#working = true
    this.#cancelTimer()
    try {
      for (let due = this.#due(); due.length > 0; due = this.#due()) {
        await this.#options.issue(due, (results) => this.#take(results))
        this.#backOff.succeeded()
        if (this.#notBefore > 0) this.#options.onBack()
        this.#notBefore = 0
      }
    } catch (error) {
      const waitMilliseconds = this.#backOff.failed()
      this.#notBefore = this.#options.clock.now() + waitMilliseconds
      this.#options.log.warn(
        { reason: reasonOf(error), retry_in_ms: waitMilliseconds },
        'X.509-SVIDs cannot be renewed now; those that have not expired stay in use',
      )
    } finally {
      this.#working = false
      this.#schedule()
    }
  }

  #due(): AuthorizedEntry[] {
    const now = this.#options.clock.now()
    if (this.#stopped || isResting(this.#notBefore, now)) return []
    return this.#kept()
      .filter((slot) => this.#dueAt(slot) <= now)
      .map(({ entry }) => entry)
  }

  #dueAt({ dueAt, svid }: CacheSlot): number {
    // Without an SVID it is a pause.
    return svid === undefined && !isResting(dueAt, this.#options.clock.now()) ? 0 : dueAt
  }

  /** What is to be there: what was asked for, and of the rest as many as there is room for. */
  #kept(): CacheSlot[] {
    const kept: CacheSlot[] = []
    const spare: CacheSlot[] = []
    for (const slot of this.#slots.values()) {
      if (slot.demanded) kept.push(slot)
      else if (slot.entry.prefetch && !slot.ended) spare.push(slot)
    }
    return [...kept, ...spare.slice(0, Math.max(0, this.#options.prefetch - kept.length))]
  }

  #take(results: readonly IssuanceResult[]): void {
    if (this.#stopped) return
    const { clock, random, log } = this.#options
    let issued = false
    for (const result of results) {
      const slot = this.#slots.get(result.entry.id)
      // Gone, changed or ended while the server was asked: what came is not used.
      if (slot === undefined || slot.entry !== result.entry || slot.ended) continue
      if ('svid' in result) {
        slot.svid = result.svid
        slot.dueAt = renewalTime(clock.now(), result.svid.expiresAt, random)
        slot.failures = 0
        delete slot.problem
        issued = true
      } else {
        slot.failures = Math.min(slot.failures + 1, 10)
        slot.dueAt = clock.now() + Math.min(firstRetryMilliseconds * 2 ** (slot.failures - 1), longestRetryMilliseconds)
        slot.problem = result.problem
        log.warn(
          { entry_id: slot.entry.id, spiffe_id: slot.entry.spiffeId, reason: result.problem },
          'the server does not sign for this entry',
        )
      }
    }
    if (issued) for (const listener of this.#listeners) listener()
  }

  #schedule(): void {
    this.#cancelTimer()
    if (this.#stopped) return
    const next = this.#kept().reduce((earliest, slot) => Math.min(earliest, this.#dueAt(slot)), Infinity)
    if (next === Infinity) return
    const { clock } = this.#options
    const now = clock.now()
    const resumesAt = isResting(this.#notBefore, now) ? this.#notBefore : 0
    this.#cancelTimer = clock.after(Math.max(next, resumesAt) - now, () => void this.#work())
  }
}

/** A pause until `until`: not one that is longer than any, which a clock that was set back has made of it. */
function isResting(until: number, now: number): boolean {
  return now < until && until - now <= longestRetryMilliseconds
}
