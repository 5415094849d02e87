/** Waits that double from `first` to `last`, each shortened at random by up to a half: a crowd spreads out. */
export interface Backoff {
  /** Milliseconds to wait after one more failure. */
  next(): number
  /** After a success. */
  reset(): void
}

export function createBackoff(options: {
  firstMilliseconds: number
  lastMilliseconds: number
  random: () => number
}): Backoff {
  let failures = 0
  return {
    next() {
      const whole = Math.min(options.lastMilliseconds, options.firstMilliseconds * 2 ** failures)
      failures = Math.min(failures + 1, 30)
      return Math.round(whole * (1 - options.random() / 2))
    },
    reset() {
      failures = 0
    },
  }
}
