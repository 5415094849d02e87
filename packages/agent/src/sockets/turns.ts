/** So many begin in one turn of the event loop, before connections are looked at again. */
const begunAtOnce = 16

/** Work of many users: whoever has most of it waits for himself, and not the others for him. */
export class Turns {
  readonly #waiting = new Map<number, (() => void)[]>()
  #scheduled = false

  /** Runs `begin` when it is the user's turn, which comes to each in order. */
  enter(user: number, begin: () => void): void {
    const own = this.#waiting.get(user)
    if (own) own.push(begin)
    else this.#waiting.set(user, [begin])
    this.#schedule()
  }

  #schedule(): void {
    if (this.#scheduled) return
    this.#scheduled = true
    setImmediate(() => {
      this.#scheduled = false
      for (let begun = 0; begun < begunAtOnce && this.#waiting.size > 0; begun += 1) this.#beginOne()
      if (this.#waiting.size > 0) this.#schedule()
    })
  }

  #beginOne(): void {
    const [user, own] = this.#waiting.entries().next().value as [number, (() => void)[]]
    const begin = own.shift()
    // To the end of the line, or out of it.
    this.#waiting.delete(user)
    if (own.length > 0) this.#waiting.set(user, own)
    begin?.()
  }
}
