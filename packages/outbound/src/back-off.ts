/**
 * How long to wait before the next try, in milliseconds: doubles with every failure up to a limit, and is spread over its
 * upper half, so that a thousand callers of what was away do not come back at once.
 */
export class BackOff {
  readonly #firstMilliseconds: number
  readonly #longestMilliseconds: number
  readonly #random: () => number
  #failures = 0

  constructor(options: { firstMilliseconds?: number; longestMilliseconds?: number; random?: () => number } = {}) {
    this.#firstMilliseconds = options.firstMilliseconds ?? 200
    this.#longestMilliseconds = options.longestMilliseconds ?? 15_000
    this.#random = options.random ?? Math.random
  }

  succeeded(): void {
    this.#failures = 0
  }

  /** Counts a failure and tells the milliseconds to wait. */
  failed(): number {
    const full = Math.min(this.#firstMilliseconds * 2 ** this.#failures, this.#longestMilliseconds)
    this.#failures = Math.min(this.#failures + 1, 30)
    return Math.round(full / 2 + (full / 2) * this.#random())
  }
}
