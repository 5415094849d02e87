import type { RevocationItem } from './revocation-item.ts'
import type { RevocableToken } from './revocation-source.ts'

export interface RevocationList {
  add(item: RevocationItem): void
  has(token: RevocableToken): boolean
  /** `serial` in lower-case hex. */
  hasSerial(serial: string): boolean
  hasTokenId(tokenId: string): boolean
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
  const certificates = new Map<string, number>()
  const keyIds = new Set<string>()
  let sweepAt = Math.min(10_000, options.maximumEntries + 1)

  function add(item: RevocationItem): void {
    if (item.kind === 'token') tokens.set(item.tokenId, item.expiresAt)
    else if (item.kind === 'client')
      clients.set(item.clientId, Math.max(item.before, clients.get(item.clientId) ?? item.before))
    else if (item.kind === 'certificate') certificates.set(item.serial, item.expiresAt)
    else keyIds.add(item.keyId)
    if (size() >= sweepAt) sweep()
  }

  /** Swept as the list doubles, so that adding stays cheap. */
  function sweep(): void {
    const end = options.now() / 1000 - keptAfterExpirySeconds
    for (const ended of [tokens, certificates])
      for (const [id, expiresAt] of ended) if (expiresAt < end) ended.delete(id)
    if (size() > options.maximumEntries)
      throw new Error(`the feed holds more than ${options.maximumEntries} revocations`)
    sweepAt = Math.min(Math.max(10_000, size() * 2), options.maximumEntries + 1)
  }

  function size(): number {
    return tokens.size + certificates.size + clients.size + keyIds.size
  }

  return {
    add,
    has(token) {
      if (tokens.has(token.jti)) return true
      if (token.kid !== undefined && keyIds.has(token.kid)) return true
      const before = clients.get(token.client_id)
      return before !== undefined && token.iat <= before
    },
    hasSerial: (serial) => certificates.has(serial),
    hasTokenId: (tokenId) => tokens.has(tokenId),
    keyIds,
    get size() {
      return size()
    },
  }
}
