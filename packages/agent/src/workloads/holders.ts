import type { Clock } from '../clock.ts'
import type { ProcessWatch } from '../process/process-watch.ts'
import type { WorkloadProcess } from '../process/workload-process.ts'

export interface HoldersOptions {
  readonly watch: ProcessWatch
  readonly clock: Clock
  /** How long after the last process a restarted one may come without the identity ending. */
  readonly graceMilliseconds: number
  readonly onEnded: (entryId: string) => void
}

/**
 * Which processes hold the SVIDs of which entry. When the last of an entry has ended, and none came within the grace,
 * its identity has ended. A closed stream is no ended process: only the process watch counts.
 */
export class Holders {
  readonly #options: HoldersOptions
  /** By entry id, then by process. */
  readonly #entries = new Map<string, { processes: Map<string, () => void>; cancelGrace: () => void }>()

  constructor(options: HoldersOptions) {
    this.#options = options
  }

  /** Notes that this process was given the entry's SVID. */
  hold(entryId: string, process: WorkloadProcess): void {
    const key = `${process.pid} ${process.startTime}`
    const entry = this.#entries.get(entryId) ?? { processes: new Map<string, () => void>(), cancelGrace: () => {} }
    this.#entries.set(entryId, entry)
    entry.cancelGrace()
    if (entry.processes.has(key)) return
    entry.processes.set(
      key,
      this.#options.watch.watch(process, () => this.#ended(entryId, key)),
    )
  }

  /** How many processes hold this entry's SVID. */
  count(entryId: string): number {
    return this.#entries.get(entryId)?.processes.size ?? 0
  }

  /** How many processes hold any. */
  get processes(): number {
    return new Set([...this.#entries.values()].flatMap(({ processes }) => [...processes.keys()])).size
  }

  /** The entry went: nothing is waited for any more. */
  forget(entryId: string): void {
    const entry = this.#entries.get(entryId)
    if (entry === undefined) return
    this.#entries.delete(entryId)
    entry.cancelGrace()
    for (const unwatch of entry.processes.values()) unwatch()
  }

  close(): void {
    for (const entryId of [...this.#entries.keys()]) this.forget(entryId)
  }

  #ended(entryId: string, key: string): void {
    const entry = this.#entries.get(entryId)
    if (entry === undefined || !entry.processes.delete(key) || entry.processes.size > 0) return
    const { clock, graceMilliseconds, onEnded } = this.#options
    entry.cancelGrace = clock.after(graceMilliseconds, () => {
      this.#entries.delete(entryId)
      onEnded(entryId)
    })
  }
}
