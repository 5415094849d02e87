import type { RegistrationEntry } from './registration-entry.ts'

/** The entries that are only for nodes which have attested themselves of late. */
export class FreshnessDemands {
  readonly #entries = new Map<string, RegistrationEntry>()
  readonly #counts = new Map<number, number>()
  #steps: readonly number[] = []

  get size(): number {
    return this.#entries.size
  }

  /** The different numbers of seconds that are demanded, ascending. */
  get steps(): readonly number[] {
    return this.#steps
  }

  entries(): IterableIterator<RegistrationEntry> {
    return this.#entries.values()
  }

  add(entry: RegistrationEntry): void {
    const seconds = entry.policy?.nodeAttestedWithinSeconds
    if (seconds === undefined) return
    this.#entries.set(entry.id, entry)
    this.#count(seconds, 1)
  }

  delete(entry: RegistrationEntry): void {
    const seconds = entry.policy?.nodeAttestedWithinSeconds
    if (seconds !== undefined && this.#entries.delete(entry.id)) this.#count(seconds, -1)
  }

  #count(seconds: number, by: 1 | -1): void {
    const count = (this.#counts.get(seconds) ?? 0) + by
    const isNew = !this.#counts.has(seconds)
    if (count > 0) this.#counts.set(seconds, count)
    else this.#counts.delete(seconds)
    if (isNew || count === 0) this.#steps = [...this.#counts.keys()].sort((one, other) => one - other)
  }
}
