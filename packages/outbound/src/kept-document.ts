/** What a load brings back: a new value, or word that the previous one still stands. */
export type LoadedDocument<T> = { value: T; etag?: string; maximumAgeSeconds?: number } | 'not_modified'

export interface KeptDocumentOptions<T> {
  /** Fetches the document; must end by itself (a deadline is the loader's). */
  load: (previous?: { etag?: string }) => Promise<LoadedDocument<T>>
  /** Milliseconds that only go forward; default the process's monotonic clock. */
  now?: () => number
  /** How long a copy is used without looking again; a shorter `maximumAgeSeconds` wins. Default 300. */
  freshSeconds?: number
  /** How old a copy may get, counted from the last successful load, when loading fails. Default 3600. */
  staleSeconds?: number
  /** The least time between two loads that failed, or that `refresh` asked for. Default 10. */
  cooldownSeconds?: number
  /** 0 to 1, spreads the refreshes of many processes. Default Math.random. */
  random?: () => number
}

interface Copy<T> {
  value: T
  etag: string | undefined
  loadedAt: number
  freshMilliseconds: number
}

/**
 * A document of another host, kept fresh: one load at a time however many ask, a stale copy rather than an outage, and
 * no more than one attempt per cooldown.
 */
export class KeptDocument<T> {
  readonly #options: Required<KeptDocumentOptions<T>>
  #copy: Copy<T> | undefined
  #loading: Promise<T> | undefined
  #failure: { error: unknown; at: number } | undefined
  #refreshedAt = Number.NEGATIVE_INFINITY

  constructor(options: KeptDocumentOptions<T>) {
    this.#options = {
      now: () => performance.now(),
      freshSeconds: 300,
      staleSeconds: 3_600,
      cooldownSeconds: 10,
      random: Math.random,
      ...defined(options),
    }
  }

  /** The document. Waits only when there is no usable copy; throws the load's error when there is none to be had. */
  async get(): Promise<T> {
    const copy = this.#usableCopy()
    if (copy !== undefined) {
      this.#refreshAhead(copy)
      return copy.value
    }
    if (this.#loading === undefined && this.#coolingDown(this.#failure?.at)) throw this.#failure?.error
    return this.#load()
  }

  /** The copy at hand without waiting; starts a refresh behind it when it is no longer fresh. */
  current(): T | undefined {
    const copy = this.#usableCopy()
    if (copy !== undefined) this.#refreshAhead(copy)
    return copy?.value
  }

  /** The copy at hand, fresh or stale; undefined when there is none young enough. Never starts a load. */
  peek(): T | undefined {
    return this.#usableCopy()?.value
  }

  /** Why the last load failed; undefined once one has succeeded. What the copy lacks may exist nevertheless. */
  get failure(): { readonly error: unknown } | undefined {
    return this.#failure
  }

  /**
   * Looks again because the copy lacks something (an unknown `kid`): at most once per cooldown, shared by all who ask.
   * Resolves with the copy then at hand; a failed load leaves the old one standing.
   */
  async refresh(): Promise<T | undefined> {
    const mayLoad = !this.#coolingDown(this.#refreshedAt) && !this.#coolingDown(this.#failure?.at)
    if (this.#loading === undefined && mayLoad) this.#refreshedAt = this.#options.now()
    if (this.#loading !== undefined || mayLoad) await this.#load().catch(() => undefined)
    return this.peek()
  }

  #usableCopy(): Copy<T> | undefined {
    const copy = this.#copy
    if (copy === undefined) return undefined
    const usableMilliseconds = Math.max(copy.freshMilliseconds, this.#options.staleSeconds * 1_000)
    return this.#options.now() - copy.loadedAt < usableMilliseconds ? copy : undefined
  }

  #refreshAhead(copy: Copy<T>): void {
    if (this.#within(copy.loadedAt, copy.freshMilliseconds)) return
    if (this.#loading !== undefined || this.#coolingDown(this.#failure?.at)) return
    // The failure is kept for who must wait for it; here the stale copy answers.
    this.#load().catch(() => undefined)
  }

  #coolingDown(since: number | undefined): boolean {
    return since !== undefined && this.#within(since, this.#options.cooldownSeconds * 1_000)
  }

  /** False also before `since`: a clock that was set back must not keep a copy or a cooldown alive. */
  #within(since: number, milliseconds: number): boolean {
    const elapsed = this.#options.now() - since
    return elapsed >= 0 && elapsed < milliseconds
  }

  #load(): Promise<T> {
    this.#loading ??= this.#loadOnce().finally(() => {
      this.#loading = undefined
    })
    return this.#loading
  }

  async #loadOnce(): Promise<T> {
    try {
      const etag = this.#copy?.etag
      const loaded = await this.#options.load(etag === undefined ? undefined : { etag })
      this.#copy = this.#copyOf(loaded)
      this.#failure = undefined
      return this.#copy.value
    } catch (error) {
      this.#failure = { error, at: this.#options.now() }
      throw error
    }
  }

  #copyOf(loaded: LoadedDocument<T>): Copy<T> {
    const loadedAt = this.#options.now()
    if (loaded !== 'not_modified') {
      const freshMilliseconds = this.#freshMilliseconds(loaded.maximumAgeSeconds)
      return { value: loaded.value, etag: loaded.etag, loadedAt, freshMilliseconds }
    }
    if (this.#copy === undefined) throw new Error('the loader said not_modified although there was no copy')
    return { ...this.#copy, loadedAt }
  }

  /** Up to a tenth earlier than due, so that processes that started together do not all ask at once. */
  #freshMilliseconds(maximumAgeSeconds = Number.POSITIVE_INFINITY): number {
    const { freshSeconds, cooldownSeconds, random } = this.#options
    const seconds = Math.min(freshSeconds, Math.max(maximumAgeSeconds, cooldownSeconds))
    return seconds * 1_000 * (1 - random() / 10)
  }
}

function defined<T extends object>(options: T): T {
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined)) as T
}
