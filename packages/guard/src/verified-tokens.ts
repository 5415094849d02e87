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
  const generation = Math.ceil(options.maximumTokens / 2)
  // Two generations instead of an order of use, which would cost a newcomer more than all checks of its claims: when
  // the young one is full it becomes the old one, and what is not asked for while it is old is forgotten.
  let young = new Map<string, Entry>()
  let old = new Map<string, Entry>()

  function keep(token: string, entry: Entry): void {
    if (young.size >= generation) {
      old = young
      young = new Map()
    }
    young.set(token, entry)
  }

  function find(token: string): Entry | undefined {
    const entry = young.get(token)
    if (entry !== undefined) return entry
    const older = old.get(token)
    if (older !== undefined) keep(token, older)
    return older
  }

  return {
    get(token, now) {
      const entry = find(token)
      if (entry === undefined) return undefined
      if (now < entry.goodUntil && now >= entry.checkedAt) return entry.verified
      young.delete(token)
      old.delete(token)
      return undefined
    },
    set(token, verified, now) {
      const goodUntil = Math.min(now + options.recheckSeconds * 1000, verified.expiresAt * 1000)
      if (goodUntil > now) keep(token, { verified, checkedAt: now, goodUntil })
    },
    clear() {
      young.clear()
      old.clear()
    },
  }
}

/** For guards that are told to remember nothing. */
export const noVerifiedTokens: VerifiedTokens = { get: () => undefined, set: () => {}, clear: () => {} }
