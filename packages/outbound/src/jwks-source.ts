import { parseJson, parseJwks, selectKey, type VerificationKey } from '@countersign/tokens'
import { type GuardedFetch, type GuardedFetchOptions, type GuardedResponse, guardedFetch } from './guarded-fetch.ts'
import { KeptDocument, type LoadedDocument } from './kept-document.ts'
import { OutboundError } from './outbound-error.ts'

export interface JwksSourceOptions {
  url: string
  fetch?: GuardedFetch
  fetchOptions?: GuardedFetchOptions
  /** Milliseconds that only go forward. */
  now?: () => number
  freshSeconds?: number
  staleSeconds?: number
  cooldownSeconds?: number
}

interface KeyHint {
  kid?: string
  alg: string
}

export interface JwksSource {
  /**
   * The key that a JOSE header asks for, or undefined. An unknown `kid` makes the source look again, once per cooldown
   * for all callers together. Throws OutboundError when no set can be had and no copy is young enough, or none to look
   * for the `kid` in.
   */
  keyFor(header: KeyHint): Promise<VerificationKey | undefined>
  /** The same from the copy at hand, without waiting; undefined says only that `keyFor` must be asked. */
  keyForSync(header: KeyHint): VerificationKey | undefined
  /** The issuer revoked this key: it is never given out again, not even when a set still holds it. */
  drop(kid: string): void
  keys(): Promise<readonly VerificationKey[]>
}

/** The public keys behind a JWKS URL (RFC 7517 section 5), fetched guardedly and kept fresh. */
export function createJwksSource(options: JwksSourceOptions): JwksSource {
  const { url, fetch = guardedFetch, fetchOptions = {}, ...keeping } = options
  const document = new KeptDocument({ ...keeping, load: (previous) => loadJwks(url, fetch, fetchOptions, previous) })
  const dropped = new Set<string>()
  let usable: { of: readonly VerificationKey[]; keys: readonly VerificationKey[] } | undefined

  function withoutDropped(keys: readonly VerificationKey[]): readonly VerificationKey[] {
    if (dropped.size === 0) return keys
    if (usable?.of !== keys) {
      usable = { of: keys, keys: keys.filter((key) => key.kid === undefined || !dropped.has(key.kid)) }
    }
    return usable.keys
  }

  return {
    async keyFor(header) {
      const before = document.peek()
      const keys = await document.get()
      const found = selectKey(withoutDropped(keys), header)
      if (found !== undefined || !worthLooking(header.kid, keys, dropped)) return found
      // A set that was loaded for this very question need not be loaded again.
      if (keys !== before) return undefined
      const newer = await document.refresh()
      const late = newer === undefined ? undefined : selectKey(withoutDropped(newer), header)
      // Nobody can say now that there is no such key: it may be the one that was changed to during the outage.
      if (late === undefined && document.failure !== undefined) throw document.failure.error
      return late
    },
    keyForSync(header) {
      const keys = document.current()
      return keys === undefined ? undefined : selectKey(withoutDropped(keys), header)
    },
    drop(kid) {
      dropped.add(kid)
      usable = undefined
    },
    async keys() {
      return withoutDropped(await document.get())
    },
  }
}

/** Only a `kid` that the set does not know can be cured by another look; a wrong `alg` cannot. */
function worthLooking(kid: string | undefined, keys: readonly VerificationKey[], dropped: Set<string>): boolean {
  return kid === undefined || !(dropped.has(kid) || keys.some((key) => key.kid === kid))
}

async function loadJwks(
  url: string,
  fetch: GuardedFetch,
  fetchOptions: GuardedFetchOptions,
  previous: { etag?: string } | undefined,
): Promise<LoadedDocument<readonly VerificationKey[]>> {
  const conditional: Record<string, string> = previous?.etag === undefined ? {} : { 'if-none-match': previous.etag }
  const response = await fetch(url, {
    ...fetchOptions,
    headers: { accept: 'application/jwk-set+json, application/json', ...fetchOptions.headers, ...conditional },
  })
  if (response.status === 304) return 'not_modified'
  const { etag } = response.headers
  return {
    value: keysOf(response.body, url),
    ...(etag !== undefined && etag.length <= 256 ? { etag } : {}),
    ...maximumAge(response),
  }
}

function keysOf(body: Buffer, url: string): readonly VerificationKey[] {
  try {
    return parseJwks(parseJson(body, { maximumBytes: body.length }))
  } catch (cause) {
    const { origin, pathname } = new URL(url)
    const why = cause instanceof Error ? cause.message : 'unreadable'
    throw new OutboundError('bad_document', `${origin}${pathname} is not a usable JWKS: ${why}`, { cause })
  }
}

/** RFC 9111 section 5.2.2: how long the issuer lets its set be reused without asking. */
function maximumAge(response: GuardedResponse): { maximumAgeSeconds?: number } {
  const cacheControl = response.headers['cache-control']?.toLowerCase() ?? ''
  if (/(?:^|[\s,])no-(?:store|cache)\b/.test(cacheControl)) return { maximumAgeSeconds: 0 }
  const seconds = /(?:^|[\s,])max-age=(\d{1,9})(?!\d)/.exec(cacheControl)?.[1]
  return seconds === undefined ? {} : { maximumAgeSeconds: Number(seconds) }
}
