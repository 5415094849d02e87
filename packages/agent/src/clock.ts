/** The agent's time: tests hold it, so that an hour's outage takes no hour. */
export interface Clock {
  /** Milliseconds since the epoch. */
  now(): number
  /** Runs `callback` once, `delayMilliseconds` from now; what it gives back cancels that. */
  after(delayMilliseconds: number, callback: () => void): () => void
}

/** The machine's own clock. Its timers do not keep the process alive. */
export const systemClock: Clock = createSystemClock()

/**
 * Timers stand still while a machine sleeps or is frozen, and know nothing of a clock that is set. So each looks at the
 * clock now and then, and is due by the clock or by the time that has passed, whichever is first: SVIDs that expired in
 * the meantime are renewed within seconds.
 * @param options.lookMilliseconds between looks; also keeps timers below the 31 bits that setTimeout takes
 */
export function createSystemClock({ now = Date.now, lookMilliseconds = 10_000 } = {}): Clock {
  return {
    now,
    after(delayMilliseconds, callback) {
      const delay = Math.max(0, delayMilliseconds)
      const dueByClock = now() + delay
      const dueByTime = performance.now() + delay
      let timer = sleep()
      return () => clearTimeout(timer)

      function sleep(): NodeJS.Timeout {
        const left = Math.max(0, Math.min(dueByClock - now(), dueByTime - performance.now()))
        return setTimeout(look, Math.min(left, lookMilliseconds)).unref()
      }
      function look(): void {
        // A timer may fire a fraction of a millisecond early.
        if (now() >= dueByClock || performance.now() + 1 >= dueByTime) callback()
        else timer = sleep()
      }
    },
  }
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
