import type { Clock } from '../clock.ts'

const periodMilliseconds = 10_000
/** Each period, for one entry and for all. A server lets an agent make 50 calls a second, for everything. */
const mostOfOne = 50
const mostOfAll = 200

/**
 * How often workloads may have the agent ask the server: one that wants tokens for ever other audiences must not use up
 * what the server allows the whole node, and with it the renewals of all others.
 */
export class RequestBudget {
  readonly #clock: Clock
  #since = Number.NEGATIVE_INFINITY
  #all = 0
  readonly #byEntry = new Map<string, number>()

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** @returns false when it is spent */
  take(entryId: string): boolean {
    const now = this.#clock.now()
    if (Math.abs(now - this.#since) >= periodMilliseconds) {
      this.#since = now
      this.#all = 0
      this.#byEntry.clear()
    }
    const own = this.#byEntry.get(entryId) ?? 0
    if (own >= mostOfOne || this.#all >= mostOfAll) return false
    this.#byEntry.set(entryId, own + 1)
    this.#all += 1
    return true
  }
}
