import { BackOff } from '@countersign/outbound/back-off'
import { type RefusedWorkload, WorkloadsService } from '@countersign/spiffe/protocol/countersign-agent'
import { status } from '@grpc/grpc-js'
import { reasonOf } from '../agent-error.ts'
import type { AgentLog } from '../agent-log.ts'
import { type Clock, nowSeconds } from '../clock.ts'
import { grpcCode } from '../server-connection/call-failure.ts'
import type { ServerConnection } from '../server-connection/server-connection.ts'
import type { Delivered } from './delivered-svids.ts'

interface Ended {
  readonly entryId: string
  readonly serialNumbers: readonly string[]
  readonly jwtIds: readonly string[]
  readonly expiresAt: number
  readonly reason: string
}

export interface ReportsOptions {
  readonly connection: () => ServerConnection
  readonly clock: Clock
  readonly random: () => number
  readonly log: AgentLog
}

const mostWaiting = 10_000
/** Of each kind; a server of ours takes a thousand names, and a hundred refusals. */
const mostInOneCall = 400
const mostRefusals = 100
const gatherMilliseconds = 200
const sameRefusalMilliseconds = 5 * 60_000

/**
 * Tells a Countersign server which identities ended and which workloads failed a policy. What cannot be told now is told
 * later: an ended SVID until it has expired by itself. Other servers do not know the calls, and are not asked again.
 */
export class Reports {
  readonly #options: ReportsOptions
  readonly #backOff
  #ended: Ended[] = []
  #refused: RefusedWorkload[] = []
  readonly #toldRefusals = new Map<string, number>()
  #understood = true
  #sending: Promise<void> | undefined
  #pauseMilliseconds = 0
  #stopped = false
  #cancelTimer: () => void = () => {}

  constructor(options: ReportsOptions) {
    this.#options = options
    this.#backOff = new BackOff({ firstMilliseconds: 1_000, longestMilliseconds: 30_000, random: options.random })
  }

  ended(entryId: string, delivered: Delivered, reason: string): void {
    const { serialNumbers, jwtIds, expiresAt } = delivered
    if (!this.#understood || this.#ended.length >= mostWaiting) return
    for (let at = 0; at < Math.max(serialNumbers.length, jwtIds.length); at += mostInOneCall) {
      const end = at + mostInOneCall
      this.#ended.push({
        entryId,
        serialNumbers: serialNumbers.slice(at, end),
        jwtIds: jwtIds.slice(at, end),
        expiresAt,
        reason,
      })
    }
    this.#later(0)
  }

  /** The same refusal of the same process counts once in five minutes. */
  refused(workload: RefusedWorkload, process: string): void {
    if (!this.#understood || this.#refused.length >= mostRefusals) return
    const now = this.#options.clock.now()
    const key = `${process} ${workload.entryId} ${workload.failures.join('\n')}`
    if ((this.#toldRefusals.get(key) ?? -Infinity) > now - sameRefusalMilliseconds) return
    this.#toldRefusals.delete(key)
    this.#toldRefusals.set(key, now)
    for (const [oldest] of this.#toldRefusals) {
      if (this.#toldRefusals.size <= mostWaiting) break
      this.#toldRefusals.delete(oldest)
    }
    this.#refused.push(workload)
    this.#later(gatherMilliseconds)
  }

  /** How many reports the server has not had yet. */
  get waiting(): number {
    return this.#ended.length + this.#refused.length
  }

  /** Sends what waits, once; for the end of the agent. */
  async flush(): Promise<void> {
    await this.#sending
    this.#cancelTimer()
    if (this.waiting > 0) await this.#send()
  }

  stop(): void {
    this.#stopped = true
    this.#cancelTimer()
  }

  #later(milliseconds: number): void {
    if (this.#sending !== undefined || this.#stopped) return
    this.#cancelTimer()
    this.#cancelTimer = this.#options.clock.after(milliseconds, () => void this.#send())
  }

  /** One at a time. */
  #send(): Promise<void> {
    this.#sending ??= this.#sendAll().finally(() => {
      this.#sending = undefined
      if (this.waiting > 0) this.#later(this.#pauseMilliseconds)
    })
    return this.#sending
  }

  async #sendAll(): Promise<void> {
    try {
      await this.#sendEnded()
      await this.#sendRefused()
      this.#backOff.succeeded()
      this.#pauseMilliseconds = 0
    } catch (error) {
      if (grpcCode(error) === status.UNIMPLEMENTED) return this.#notUnderstood()
      this.#pauseMilliseconds = this.#backOff.failed()
      this.#options.log.warn(
        { reason: reasonOf(error), waiting: this.waiting },
        'the server cannot be told of ended or refused workloads now',
      )
    }
  }

  async #sendEnded(): Promise<void> {
    for (let report = this.#ended[0]; report !== undefined; report = this.#ended[0]) {
      if (report.expiresAt > nowSeconds(this.#options.clock)) await this.#sendOne(report)
      this.#ended.shift()
    }
  }

  async #sendOne({ entryId, serialNumbers, jwtIds, reason }: Ended): Promise<void> {
    const request = { entryId, x509SerialNumbers: [...serialNumbers], jwtIds: [...jwtIds], reason }
    try {
      await this.#options.connection().call(WorkloadsService.reportEnded, request)
    } catch (error) {
      const code = grpcCode(error)
      if (code !== status.INVALID_ARGUMENT && code !== status.NOT_FOUND) throw error
      this.#options.log.warn(
        { entry_id: entryId, reason: reasonOf(error) },
        'the server does not take the report of an ended workload',
      )
    }
  }

  async #sendRefused(): Promise<void> {
    const workloads = this.#refused
    if (workloads.length === 0) return
    this.#refused = []
    try {
      await this.#options.connection().call(WorkloadsService.reportRefused, { workloads })
    } catch (error) {
      // Told for the record only: what the server does not want to hear is not told twice.
      if (grpcCode(error) === status.INVALID_ARGUMENT) return
      this.#refused = [...workloads, ...this.#refused].slice(0, mostRefusals)
      throw error
    }
  }

  #notUnderstood(): void {
    this.#understood = false
    this.#ended = []
    this.#refused = []
    this.#options.log.info({}, 'the server does not take reports of ended workloads; their SVIDs end when they expire')
  }
}
