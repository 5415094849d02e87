import { LimitsError } from './limits-error.ts'
import type { SingleUse } from './single-use.ts'
import { storeKey } from './store-key.ts'

export interface MemorySingleUse extends SingleUse {
  firstUse(id: string, expiresAt: number): boolean
  /** Seconds since the epoch. What was used before this process started is not known here. */
  readonly startedAt: number
}

export interface MemorySingleUseOptions {
  /** Milliseconds since the epoch. Default Date.now. */
  now?: () => number
  /** Default 200,000. */
  maximumEntries?: number
}

/**
 * Single use within one process. When it is full of unexpired identifiers it throws LimitsError `capacity` rather than
 * forget one: a flood must not make a used assertion usable again.
 */
export function createMemorySingleUse(options: MemorySingleUseOptions = {}): MemorySingleUse {
  const { now = Date.now, maximumEntries = 200_000 } = options
  const expiries = new Map<string, number>()
  let sweptAt = Number.NEGATIVE_INFINITY

  function firstUse(id: string, expiresAt: number): boolean {
    const nowSeconds = now() / 1_000
    if (!(expiresAt > nowSeconds)) return false
    sweep(nowSeconds)
    const key = storeKey(id)
    const known = expiries.get(key)
    if (known !== undefined && known > nowSeconds) return false
    if (known === undefined && expiries.size >= maximumEntries) {
      throw new LimitsError(
        'capacity',
        `${maximumEntries} unexpired identifiers are remembered; no more can be accepted`,
      )
    }
    expiries.set(key, expiresAt)
    return true
  }

  /** At most once a second, so that a flood pays for one pass and not for one per identifier. */
  function sweep(nowSeconds: number): void {
    if (Math.abs(nowSeconds - sweptAt) < 1) return
    sweptAt = nowSeconds
    for (const [key, expiresAt] of expiries) if (expiresAt <= nowSeconds) expiries.delete(key)
  }

  return { firstUse, startedAt: now() / 1_000 }
}
