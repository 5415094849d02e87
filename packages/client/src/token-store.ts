import { isAccessToken } from './token-answer.ts'

/** A token as a store keeps it: plain JSON. Times are seconds since the epoch. */
export interface StoredToken {
  accessToken: string
  tokenType: string
  scope?: string
  expiresAt: number
  obtainedAt: number
}

/**
 * Shares tokens between processes, so that each need not ask for its own. What it keeps are bearer tokens:
 * protect it accordingly. It may fail or be slow; the client then goes on as if it were empty.
 */
export interface TokenStore {
  get(key: string): Promise<StoredToken | undefined>
  set(key: string, token: StoredToken): Promise<void>
  delete(key: string): Promise<void>
}

/** True for what `set` was once given; a store is not trusted to return only that. */
export function isStoredToken(value: unknown): value is StoredToken {
  if (typeof value !== 'object' || value === null) return false
  const { accessToken, tokenType, scope, expiresAt, obtainedAt } = value as Record<string, unknown>
  return (
    isAccessToken(accessToken) &&
    tokenType === 'Bearer' &&
    (scope === undefined || typeof scope === 'string') &&
    Number.isFinite(expiresAt) &&
    Number.isFinite(obtainedAt)
  )
}
