/** How many connections or calls there are, in all and by user: nobody takes the last half from all others. */
export class Openings {
  readonly #most: number
  readonly #byUser = new Map<number, number>()
  #all = 0

  constructor(most: number) {
    this.#most = most
  }

  /** @returns what ends it, or undefined where there are too many */
  take(user: number): (() => void) | undefined {
    const own = this.#byUser.get(user) ?? 0
    if (this.#all >= this.#most || own >= this.#most / 2) return undefined
    this.#all += 1
    this.#byUser.set(user, own + 1)
    return () => {
      this.#all -= 1
      const left = (this.#byUser.get(user) ?? 1) - 1
      if (left > 0) this.#byUser.set(user, left)
      else this.#byUser.delete(user)
    }
  }
}
