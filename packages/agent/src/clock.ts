/** The agent's time: tests hold it, so that an hour's outage takes no hour. */
export interface Clock {
  /** Milliseconds since the epoch. */
  now(): number
  /** Runs `callback` once, `delayMilliseconds` from now; what it gives back cancels that. */
  after(delayMilliseconds: number, callback: () => void): () => void
}

/** The machine's own clock. Its timers do not keep the process alive. */
export const systemClock: Clock = {
  now: Date.now,
  after(delayMilliseconds, callback) {
    // setTimeout takes 31 bits; whoever waits longer looks again then.
    const timer = setTimeout(callback, Math.min(Math.max(0, delayMilliseconds), 2 ** 31 - 1))
    timer.unref()
    return () => clearTimeout(timer)
  },
}

/** Whole seconds since the epoch, as certificates and tokens count. */
export function nowSeconds(clock: Clock): number {
  return Math.floor(clock.now() / 1000)
}

/** Resolves after `delayMilliseconds`, or at once when the signal ends it. */
export function pause(clock: Clock, delayMilliseconds: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal?.aborted) return resolve()
    const cancel = clock.after(delayMilliseconds, done)
    signal?.addEventListener('abort', done, { once: true })
    function done() {
      cancel()
      signal?.removeEventListener('abort', done)
      resolve()
    }
  })
}
