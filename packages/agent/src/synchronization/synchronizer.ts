import { BackOff } from '@countersign/outbound/back-off'
import { reasonOf } from '../agent-error.ts'
import type { AgentLog } from '../agent-log.ts'
import type { BundleStore } from '../bundles/bundle-store.ts'
import { fetchFederatedBundles, fetchOwnBundle } from '../bundles/fetch-bundles.ts'
import { type Clock, pause } from '../clock.ts'
import type { EntryStore } from '../entries/entry-store.ts'
import { syncEntries } from '../entries/sync-entries.ts'
import type { ServerConnection } from '../server-connection/server-connection.ts'

export interface SynchronizerOptions {
  readonly connection: () => ServerConnection
  readonly trustDomain: string
  readonly entries: EntryStore
  readonly bundles: BundleStore
  readonly intervalMilliseconds: number
  readonly clock: Clock
  readonly random: () => number
  readonly log: AgentLog
  /** Sees each failure before the next try, and over which connection it came. */
  readonly heed: (error: unknown, over: ServerConnection) => Promise<void>
  /** The server answers again after it did not. */
  readonly onBack: () => void
}

const longestWaitMilliseconds = 60_000

/** Keeps entries and bundles as the server has them: every few seconds, and at growing intervals while it is away. */
export class Synchronizer {
  readonly #options: SynchronizerOptions
  readonly #stop = new AbortController()
  #hurry = () => {}
  readonly #first = Promise.withResolvers<void>()
  #lastSuccess: number | undefined

  constructor(options: SynchronizerOptions) {
    this.#options = options
  }

  /** Resolves after the first success. */
  get first(): Promise<void> {
    return this.#first.promise
  }

  /** Milliseconds since the epoch. */
  get lastSuccess(): number | undefined {
    return this.#lastSuccess
  }

  async run(): Promise<void> {
    const { clock, random, intervalMilliseconds, log, connection } = this.#options
    const backOff = new BackOff({
      firstMilliseconds: Math.min(1_000, intervalMilliseconds),
      longestMilliseconds: longestWaitMilliseconds,
      random,
    })
    let failing = false
    while (!this.#stop.signal.aborted) {
      // A tenth more or less, so that agents that started together do not stay together.
      let waitMilliseconds = intervalMilliseconds * (0.9 + random() * 0.2)
      const over = connection()
      try {
        await this.#synchronize(over)
        backOff.succeeded()
        if (failing) {
          log.info({}, 'entries and bundles are synchronized again')
          this.#options.onBack()
        }
        failing = false
      } catch (error) {
        if (this.#stop.signal.aborted) return
        waitMilliseconds = backOff.failed()
        failing = true
        log.warn(
          { reason: reasonOf(error), retry_in_ms: waitMilliseconds },
          'entries and bundles cannot be synchronized now',
        )
        await this.#options.heed(error, over)
      }
      const hurried = Promise.withResolvers<void>()
      if (failing) this.#hurry = hurried.resolve
      await Promise.race([pause(clock, waitMilliseconds, this.#stop.signal), hurried.promise])
      this.#hurry = () => {}
    }
  }

  /** Ends the pause after a failure: the server was heard to answer others. */
  hurry(): void {
    this.#hurry()
  }

  stop(): void {
    this.#stop.abort()
  }

  async #synchronize(over: ServerConnection): Promise<void> {
    const { trustDomain, entries, bundles, log, clock } = this.#options
    const found = await syncEntries(over, entries.all(), log)
    const own = await fetchOwnBundle(over, trustDomain, log)
    const others = new Set([...found.values()].flatMap(({ federatesWith }) => federatesWith))
    others.delete(trustDomain)
    const federated = await fetchFederatedBundles(over, [...others], log)
    if (this.#stop.signal.aborted) return
    // Bundles first: whoever hears of new SVIDs can then judge them.
    bundles.replace(own, federated)
    entries.replace(found)
    this.#lastSuccess = clock.now()
    this.#first.resolve()
  }
}
