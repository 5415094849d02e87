import { ClientError } from './client-error.ts'
import { ageOf, isUsable, type KeptToken, keepObtained, keepStored, needsRenewal } from './kept-token.ts'
import type { ClientSettings } from './options.ts'
import type { TokenWish } from './targets.ts'
import type { TokenSource } from './token-source.ts'
import { isStoredToken, type StoredToken, type TokenStore } from './token-store.ts'

const maximumKept = 1_000
const storePatienceMilliseconds = 500

/** What a flight must not come back with. */
interface Errand {
  not?: string
  /** `not` is useless to others too. */
  refused?: boolean
  ignoreStore?: boolean
}

/**
 * Keeps tokens by what they are for: hands out the one it has, renews it in the background before it ends, and
 * never asks twice at once for the same thing.
 */
export class TokenKeeper {
  readonly #settings: ClientSettings
  readonly #source: TokenSource
  readonly #kept = new Map<string, KeptToken>()
  readonly #flights = new Map<string, Promise<KeptToken>>()
  readonly #closing = new AbortController()

  constructor(settings: ClientSettings, source: TokenSource) {
    this.#settings = settings
    this.#source = source
  }

  /** A token that is valid now, at once if there is one. */
  async get(wish: TokenWish): Promise<StoredToken> {
    const held = this.#held(wish)
    if (held === undefined) return (await this.#fly(wish, {})).stored
    if (needsRenewal(held, this.#settings)) this.#renew(wish, held)
    return held.stored
  }

  /** Another token than `refused`, which an API did not take. */
  replace(wish: TokenWish, refused: string): Promise<StoredToken> {
    return this.#other(wish, { not: refused, refused: true })
  }

  /** A token newer than the one held now, straight from the server. */
  async renew(wish: TokenWish): Promise<StoredToken> {
    return this.#other(wish, { not: this.#held(wish)?.stored.accessToken, ignoreStore: true })
  }

  close(): void {
    this.#closing.abort(new ClientError('closed', 'the client is closed; create a new one'))
    this.#kept.clear()
  }

  #held(wish: TokenWish): KeptToken | undefined {
    this.#closing.signal.throwIfAborted()
    const kept = this.#kept.get(wish.key)
    if (kept === undefined || !isUsable(kept, this.#settings)) return undefined
    return kept.credentialVersion === this.#credentialVersion() ? kept : undefined
  }

  /** Undefined also while there is no credential: getting a token then says why. */
  #credentialVersion(): string | undefined {
    try {
      return this.#settings.credentialVersion?.()
    } catch {
      return undefined
    }
  }

  /** Of 100 callers with the same refused token one asks for another, and all get that. */
  async #other(wish: TokenWish, errand: Errand): Promise<StoredToken> {
    const arriving = await this.#flights.get(wish.key)?.catch(() => undefined)
    for (const kept of [arriving, this.#held(wish)]) {
      if (kept !== undefined && kept.stored.accessToken !== errand.not) return kept.stored
    }
    return (await this.#fly(wish, errand)).stored
  }

  #fly(wish: TokenWish, errand: Errand): Promise<KeptToken> {
    const flying = this.#flights.get(wish.key)
    if (flying !== undefined) return flying
    const flight = this.#obtain(wish, errand).finally(() => this.#flights.delete(wish.key))
    this.#flights.set(wish.key, flight)
    return flight
  }

  #renew(wish: TokenWish, held: KeptToken): void {
    if (this.#flights.has(wish.key)) return
    this.#fly(wish, { not: held.stored.accessToken }).catch((error) => {
      if (this.#closing.signal.aborted) return
      this.#postpone(wish, held, error)
      if (error instanceof ClientError) this.#warn(error)
    })
  }

  /** After a renewal that failed the old token serves on; the next try waits, so that calls do not become storms. */
  #postpone(wish: TokenWish, held: KeptToken, error: unknown): void {
    if (this.#kept.get(wish.key) !== held) return
    const asked = error instanceof ClientError ? (error.retryAfterSeconds ?? 0) * 1000 : 0
    const pause = Math.max(asked, 10_000 * (0.5 + this.#settings.random()))
    this.#kept.set(wish.key, { ...held, renewAfter: ageOf(held, this.#settings) + pause })
  }

  async #obtain(wish: TokenWish, errand: Errand): Promise<KeptToken> {
    const deadline = this.#settings.monotonicNow() + this.#settings.timeoutMilliseconds
    const shared = await this.#fromStore(wish, errand)
    if (shared !== undefined) return this.#keep(wish, shared)
    const credentialVersion = this.#credentialVersion()
    const obtained = await this.#source(wish, deadline, this.#closing.signal)
    const kept = this.#keep(wish, { ...keepObtained(obtained, wish.scope, this.#settings), credentialVersion })
    void this.#withStore((store) => store.set(wish.key, kept.stored))
    return kept
  }

  async #fromStore(wish: TokenWish, { not, refused, ignoreStore }: Errand): Promise<KeptToken | undefined> {
    if (this.#settings.store === undefined || ignoreStore) return undefined
    const stored = await this.#withStore((store) => store.get(wish.key))
    if (!isStoredToken(stored)) return undefined
    if (stored.accessToken === not) {
      if (refused) await this.#withStore((store) => store.delete(wish.key))
      return undefined
    }
    const kept = keepStored(stored, this.#settings)
    return kept && isUsable(kept, this.#settings) && !needsRenewal(kept, this.#settings) ? kept : undefined
  }

  #keep(wish: TokenWish, kept: KeptToken): KeptToken {
    this.#closing.signal.throwIfAborted()
    this.#kept.delete(wish.key)
    this.#kept.set(wish.key, kept)
    if (this.#kept.size > maximumKept) this.#kept.delete(this.#kept.keys().next().value!)
    return kept
  }

  /** A store that fails, hangs or throws is only a warning. What it threw is not passed on: it may quote a token. */
  async #withStore<Result>(use: (store: TokenStore) => Promise<Result>): Promise<Result | undefined> {
    const { store, credentialVersion } = this.#settings
    if (store === undefined || credentialVersion !== undefined) return undefined
    const { promise: patience, resolve } = Promise.withResolvers<'late'>()
    const timer = setTimeout(resolve, storePatienceMilliseconds, 'late')
    try {
      const result = await Promise.race([use(store), patience])
      if (result !== 'late') return result
      this.#warn(new ClientError('store_failed', 'the token store is slow; went on without it'))
    } catch {
      this.#warn(new ClientError('store_failed', 'the token store failed; went on without it'))
    } finally {
      clearTimeout(timer)
    }
    return undefined
  }

  #warn(warning: ClientError): void {
    try {
      this.#settings.onWarning(warning)
    } catch {
      // A listener that throws must not cost the caller his token.
    }
  }
}
