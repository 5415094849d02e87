import { setTimeout as sleep } from 'node:timers/promises'
import { BackOff } from '@countersign/outbound/back-off'
import { parseJson } from '@countersign/tokens'
import { fetchRulesFor } from '../fetch-rules.ts'
import { connectFeed } from './feed-connection.ts'
import { type RevocationItem, readRevocationItem } from './revocation-item.ts'
import { createRevocationList } from './revocation-list.ts'
import type { RevocationSource } from './revocation-source.ts'

export interface RevocationFeedOptions {
  /** The server's `/oauth/revocations`. */
  readonly url: string
  /** The `Authorization` value to ask with, such as `Bearer ...`; asked anew for each request. */
  readonly authorization?: () => string | Promise<string>
  /** Whose tokens the feed speaks of. Inside a guard with one issuer: that one. */
  readonly issuer?: string
  /** `stream` (the default) learns of a revocation at once, `poll` within `pollSeconds`. */
  readonly follow?: 'stream' | 'poll'
  /** Default 5. */
  readonly pollSeconds?: number
  /** How long the guard goes on when the feed cannot be reached. Default 3600; then tokens are refused with 503. */
  readonly staleSeconds?: number
  /** Default 1,000,000. */
  readonly maximumEntries?: number
  /** Lets a feed over plain http pass that is not on this machine. */
  readonly allowHttp?: boolean
  /** For a private CA or a proxy. Default the global one. */
  readonly fetch?: typeof fetch
  /** Hears of failures to follow; they are tried again by themselves. */
  readonly onError?: (error: unknown) => void
  /** Milliseconds since the epoch. Default Date.now. */
  readonly now?: () => number
}

/**
 * Follows a server's revocation feed: all pages first, then what comes. Until it was read once, and when it could not
 * be read for `staleSeconds`, it is not current, and the guard refuses rather than let a revoked token pass.
 * Throws GuardConfigurationError for a URL that would send the credential in the clear.
 */
export function createRevocationFeed(options: RevocationFeedOptions): RevocationSource {
  const { url, issuer, follow = 'stream', pollSeconds = 5, staleSeconds = 3_600, now = Date.now, onError } = options
  fetchRulesFor(url, options.allowHttp === undefined ? {} : { allowHttp: options.allowHttp })
  const connection = connectFeed({ url, authorization: options.authorization, fetch: options.fetch ?? fetch })
  const list = createRevocationList({ maximumEntries: options.maximumEntries ?? 1_000_000, now })
  const keyListeners: ((kid: string, issuer: string | undefined) => void)[] = []
  const stopping = new AbortController()
  let running: Promise<void> | undefined
  let firstAttempt: Promise<boolean> | undefined
  let heardAt: number | undefined
  let cursor: string | undefined

  return {
    isRevoked: (token) => (issuer === undefined || token.iss === issuer) && list.has(token),
    isRevokedSerial: (serial) => list.hasSerial(serial),
    isRevokedJwtSvid: ({ jti, kid }) =>
      (jti !== undefined && list.hasTokenId(jti)) || (kid !== undefined && list.keyIds.has(kid)),
    isCurrent: () => isYoung() || (firstAttempt ?? false),
    onRevokedKey(listener) {
      keyListeners.push(listener)
      for (const kid of list.keyIds) listener(kid, issuer)
    },
    start() {
      if (running !== undefined) return
      const first = Promise.withResolvers<boolean>()
      firstAttempt = first.promise
      running = run(() => {
        first.resolve(isYoung())
        firstAttempt = undefined
      })
    },
    async stop() {
      stopping.abort()
      await running
    },
  }

  function isYoung(): boolean {
    return heardAt !== undefined && now() - heardAt < staleSeconds * 1000
  }

  async function run(onFirstAttempt: () => void): Promise<void> {
    const backOff = new BackOff({ firstMilliseconds: pollSeconds * 1000, longestMilliseconds: 30_000 })
    while (!stopping.signal.aborted) {
      const before = heardAt
      try {
        await catchUp()
        onFirstAttempt()
        if (follow === 'stream') await listen()
        backOff.succeeded()
        // Also after a stream that ended by itself: a server that hangs up at once is not asked in a tight loop.
        await pause(pollSeconds * 1000)
      } catch (error) {
        onFirstAttempt()
        if (stopping.signal.aborted) return
        onError?.(error)
        if (heardAt !== before) backOff.succeeded()
        await pause(backOff.failed())
      }
    }
  }

  async function catchUp(): Promise<void> {
    for (;;) {
      const page = await connection.page(cursor, stopping.signal)
      if (page === 'gone') {
        if (cursor === undefined) throw new Error('the revocation feed has no beginning')
        // What is known stays known: nothing on the feed is ever taken back.
        cursor = undefined
        continue
      }
      page.items.forEach(learn)
      const stuck = page.hasMore && page.next === cursor
      cursor = page.next
      if (stuck) throw new Error('the revocation feed goes in circles')
      if (!page.hasMore) break
    }
    heardAt = now()
  }

  async function listen(): Promise<void> {
    const events = connection.events(cursor!, stopping.signal, () => {
      heardAt = now()
    })
    for await (const event of events) {
      if (event.event !== 'revocation') continue
      readRevocationItem(parseJson(event.data)).forEach(learn)
      if (event.id !== '') cursor = event.id
    }
  }

  function learn(item: RevocationItem): void {
    const known = item.kind === 'key' && list.keyIds.has(item.keyId)
    list.add(item)
    if (item.kind === 'key' && !known) for (const listener of keyListeners) listener(item.keyId, issuer)
  }

  /** Ends early, and quietly, when the feed is stopped. */
  async function pause(milliseconds: number): Promise<void> {
    await sleep(milliseconds, undefined, { signal: stopping.signal, ref: false }).catch(() => {})
  }
}
