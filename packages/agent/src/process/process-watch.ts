import type { WorkloadProcess } from './workload-process.ts'

export interface ProcessWatch {
  /** Calls `onEnded` once, when the process has ended. The returned function forgets it before. */
  watch(process: WorkloadProcess, onEnded: () => void): () => void
  close(): void
}

export interface ProcessWatchOptions {
  readonly pollMilliseconds?: number
  /** What a listener threw; the others are told all the same. */
  readonly onError?: (error: unknown) => void
}

/**
 * Notices when processes end, by looking each `pollMilliseconds` (default 1000) whether the same one is still there.
 *
 * A process whose connection closed has not ended: only the kernel is asked.
 */
export function createProcessWatch(options: ProcessWatchOptions = {}): ProcessWatch {
  const watched = new Map<string, { process: WorkloadProcess; listeners: Set<() => void> }>()
  let timer: NodeJS.Timeout | undefined

  const look = () => {
    for (const [key, { process, listeners }] of watched) {
      if (process.isAlive()) continue
      watched.delete(key)
      for (const onEnded of listeners) {
        try {
          onEnded()
        } catch (error) {
          options.onError?.(error)
        }
      }
    }
    if (watched.size === 0) rest()
  }
  const rest = () => {
    clearInterval(timer)
    timer = undefined
  }

  return {
    watch(process, onEnded) {
      const key = `${process.pid} ${process.startTime}`
      const entry = watched.get(key) ?? { process, listeners: new Set() }
      const listener = () => onEnded()
      entry.listeners.add(listener)
      watched.set(key, entry)
      timer ??= setInterval(look, options.pollMilliseconds ?? 1000).unref()
      return () => {
        entry.listeners.delete(listener)
        if (entry.listeners.size > 0 || watched.get(key) !== entry) return
        watched.delete(key)
        if (watched.size === 0) rest()
      }
    },
    close() {
      watched.clear()
      rest()
    },
  }
}
