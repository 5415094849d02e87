import type { Clock } from './clock.ts'

/** A clock that stands still until it is moved. */
export class TestClock implements Clock {
  #now: number
  readonly #timers = new Set<{ at: number; callback: () => void }>()

  readonly #sockets: boolean

  /** @param options.sockets false where nothing but promises has to have its turn */
  constructor(startMilliseconds: number = Date.now(), options: { sockets?: boolean } = {}) {
    this.#now = startMilliseconds
    this.#sockets = options.sockets ?? true
  }

  now(): number {
    return this.#now
  }

  after(delayMilliseconds: number, callback: () => void): () => void {
    const timer = { at: this.#now + Math.max(0, delayMilliseconds), callback }
    this.#timers.add(timer)
    return () => this.#timers.delete(timer)
  }

  /** Runs what is due on the way, one after the other, and lets the sockets of this process have their turn each time. */
  async advance(milliseconds: number): Promise<void> {
    const end = this.#now + milliseconds
    for (;;) {
      await this.#settled()
      const next = [...this.#timers].sort((one, other) => one.at - other.at)[0]
      if (next === undefined || next.at > end) break
      this.#timers.delete(next)
      this.#now = Math.max(this.#now, next.at)
      next.callback()
    }
    this.#now = end
    await this.#settled()
  }

  /** Long enough for a call to a server in this process and its answer. */
  #settled(): Promise<void> {
    return new Promise((resolve) => (this.#sockets ? setTimeout(resolve, 4) : setImmediate(resolve)))
  }
}
