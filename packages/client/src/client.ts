import { createFetch } from './authorized-fetch.ts'
import { type ClientOptions, readOptions } from './options.ts'
import type { Target } from './targets.ts'
import { TokenKeeper } from './token-keeper.ts'
import { createTokenSource } from './token-source.ts'
import type { StoredToken } from './token-store.ts'

/** An access token and what is known of it. `expiresAt` is seconds since the epoch. */
export interface ObtainedAccessToken {
  accessToken: string
  tokenType: string
  expiresAt: number
  scope?: string
}

export interface TokenOptions extends Target {
  /** Ask the server even where a good token is at hand. */
  forceRefresh?: boolean
  /** Stops this caller's waiting; others who wait for the same token go on. */
  signal?: AbortSignal
}

export interface CountersignClient {
  /**
   * A token for an audience and scopes, from memory if possible. Renewed in the background before it ends;
   * concurrent callers share one request.
   * @throws ClientError by `code`: `invalid_client`, `invalid_scope`, `invalid_target`, `rate_limited`,
   *   `unavailable`, `unreachable`, `timed_out`, `bad_answer`, `bad_metadata`, `redirected`, `closed`; an aborted
   *   signal's reason
   */
  token(options?: TokenOptions): Promise<ObtainedAccessToken>
  /**
   * The token that `fetch` would attach to this address; undefined where its origin is not declared. For HTTP
   * libraries that have no adapter here. With `refused`, another token than that one, which the API did not take;
   * undefined where asking again would not help.
   */
  tokenFor(url: string, options?: { refused?: string; signal?: AbortSignal }): Promise<ObtainedAccessToken | undefined>
  /**
   * `fetch` that attaches the token of the address's origin and renews it once where the API answers that it is
   * no longer valid. Redirects are followed within the origin for GET and HEAD, else refused (`redirected`).
   */
  fetch: typeof globalThis.fetch
  /** Forgets tokens and stops what is under way. */
  close(): void
}

/**
 * A client of a token server for the client credentials grant (OAuth 2.1).
 * @throws ClientError `invalid_configuration`
 */
export function createClient(options: ClientOptions): CountersignClient {
  const settings = readOptions(options)
  const keeper = new TokenKeeper(settings, createTokenSource(settings))
  const ownWish = settings.wishFor(settings.defaults)
  const replacements = new Map<string, { accessToken: string; at: number }>()

  async function token(asked: TokenOptions = {}): Promise<ObtainedAccessToken> {
    const isOwn = asked.audience === undefined && asked.scope === undefined
    const wish = isOwn ? ownWish : settings.wishFor({ ...settings.defaults, ...definedOnly(asked) })
    const found = asked.forceRefresh ? keeper.renew(wish) : keeper.get(wish)
    return present(await unlessAborted(found, asked.signal))
  }

  async function tokenFor(
    url: string,
    { refused, signal }: { refused?: string; signal?: AbortSignal } = {},
  ): Promise<ObtainedAccessToken | undefined> {
    const wish = settings.targets.get(new URL(url).origin)
    if (wish === undefined) return undefined
    if (refused === undefined) return present(await unlessAborted(keeper.get(wish), signal))
    const last = replacements.get(wish.key)
    const pointless = last?.accessToken === refused && settings.monotonicNow() - last.at < replacementPause
    if (pointless) return undefined
    const other = await unlessAborted(keeper.replace(wish, refused), signal)
    replacements.set(wish.key, { accessToken: other.accessToken, at: settings.monotonicNow() })
    return present(other)
  }

  return { token, tokenFor, fetch: createFetch(settings.fetch, tokenFor), close: () => keeper.close() }
}

/** An API that refuses a replacement too refuses them all; it must not make us flood the token server. */
const replacementPause = 30_000

function definedOnly({ audience, scope }: Target): Target {
  return { ...(audience !== undefined && { audience }), ...(scope !== undefined && { scope }) }
}

function present({ accessToken, tokenType, expiresAt, scope }: StoredToken): ObtainedAccessToken {
  return { accessToken, tokenType, expiresAt, ...(scope !== undefined && { scope }) }
}

async function unlessAborted<Result>(result: Promise<Result>, signal: AbortSignal | undefined): Promise<Result> {
  if (!signal) return result
  const { promise: aborted, reject } = Promise.withResolvers<never>()
  const abort = () => reject(signal.reason)
  if (signal.aborted) abort()
  signal.addEventListener('abort', abort, { once: true })
  try {
    return await Promise.race([aborted, result])
  } finally {
    signal.removeEventListener('abort', abort)
  }
}
