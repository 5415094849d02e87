import type { RevocationItem } from './revocation-item.ts'
import type { RevocableToken } from './revocation-source.ts'

export interface RevocationList {
  add(item: RevocationItem): void
  has(token: RevocableToken): boolean
  readonly keyIds: ReadonlySet<string>
  readonly size: number
}

/** Past its end a token is refused anyway; kept a while longer for the leeway, and for clocks that are set back. */
const keptAfterExpirySeconds = 3_600

/**
 * What the feed has told so far. Throws when more than `maximumEntries` would have to be kept: forgetting one silently
 * would let a revoked token pass again. `now`: milliseconds since the epoch.
 */
export function createRevocationList(options: { maximumEntries: number; now: () => number }): RevocationList {
  const tokens = new Map<string, number>()
  const clients = new Map<string, number>()
  const keyIds = new Set<string>()
  let sweepAt = Math.min(10_000, options.maximumEntries + 1)

  function add(item: RevocationItem): void {
    if (item.kind === 'token') tokens.set(item.tokenId, item.expiresAt)
    else if (item.kind === 'client')
      clients.set(item.clientId, Math.max(item.before, clients.get(item.clientId) ?? item.before))
    else keyIds.add(item.keyId)
    if (size() >= sweepAt) sweep()
  }

  /** Swept as the list doubles, so that adding stays cheap. */
  function sweep(): void {
    const end = options.now() / 1000 - keptAfterExpirySeconds
    for (const [tokenId, expiresAt] of tokens) if (expiresAt < end) tokens.delete(tokenId)
    if (size() > options.maximumEntries)
      throw new Error(`the feed holds more than ${options.maximumEntries} revocations`)
    sweepAt = Math.min(Math.max(10_000, size() * 2), options.maximumEntries + 1)
  }

  function size(): number {
    return tokens.size + clients.size + keyIds.size
  }

  return {
    add,
    has(token) {
      if (tokens.has(token.jti)) return true
      if (token.kid !== undefined && keyIds.has(token.kid)) return true
      const before = clients.get(token.client_id)
      return before !== undefined && token.iat <= before
    },
    keyIds,
    get size() {
      return size()
    },
  }
}
