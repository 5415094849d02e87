import { LRUCache } from 'lru-cache'
import type { VerifiedToken } from './access-token.ts'

/** Tokens whose signature was checked a short while ago. */
export interface VerifiedTokens {
  /** `now`: milliseconds since the epoch. */
  get(token: string, now: number): VerifiedToken | undefined
  set(token: string, verified: VerifiedToken, now: number): void
  clear(): void
}

interface Entry {
  readonly verified: VerifiedToken
  readonly checkedAt: number
  readonly goodUntil: number
}

/**
 * Remembers verified tokens by their whole text: no digest or part of one, so that no two tokens ever share an entry.
 * An entry serves for `recheckSeconds` and never past the token's end; then the token is verified anew, so that a key
 * that its issuer has withdrawn does not live on in here. A clock set back also ends an entry.
 */
export function createVerifiedTokens(options: { maximumTokens: number; recheckSeconds: number }): VerifiedTokens {
  // Bounded by size, not `max`: with that the cache takes its memory for all tokens at once, and most never come.
  const entries = new LRUCache<string, Entry>({ maxSize: options.maximumTokens, sizeCalculation: () => 1 })
  return {
    get(token, now) {
      const entry = entries.get(token)
      if (entry === undefined) return undefined
      if (now < entry.goodUntil && now >= entry.checkedAt) return entry.verified
      entries.delete(token)
      return undefined
    },
    set(token, verified, now) {
      const goodUntil = Math.min(now + options.recheckSeconds * 1000, verified.expiresAt * 1000)
      if (goodUntil > now) entries.set(token, { verified, checkedAt: now, goodUntil })
    },
    clear: () => entries.clear(),
  }
}

/** For guards that are told to remember nothing. */
export const noVerifiedTokens: VerifiedTokens = { get: () => undefined, set: () => {}, clear: () => {} }
