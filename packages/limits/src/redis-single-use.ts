import { LimitsError } from './limits-error.ts'
import { ask, type RedisClient } from './redis-client.ts'
import type { SingleUse } from './single-use.ts'
import { storeKey } from './store-key.ts'

export interface RedisSingleUse extends SingleUse {
  firstUse(id: string, expiresAt: number): Promise<boolean>
}

export interface RedisSingleUseOptions {
  client: RedisClient
  /** Before every key. Default `countersign:used:`. */
  prefix?: string
  /** Milliseconds since the epoch: the clock that judges expiry in this process. Default Date.now. */
  now?: () => number
  /** Default 1,000. */
  timeoutMilliseconds?: number
}

/** Single use across all replicas on one Redis. Redis must not evict (`maxmemory-policy noeviction`). */
export function createRedisSingleUse(options: RedisSingleUseOptions): RedisSingleUse {
  const { client, prefix = 'countersign:used:', now = Date.now, timeoutMilliseconds = 1_000 } = options
  return {
    async firstUse(id, expiresAt) {
      const lifetimeMilliseconds = expiresAt * 1_000 - now()
      if (!(lifetimeMilliseconds > 0)) return false
      const keptMilliseconds = Math.min(
        Math.ceil(lifetimeMilliseconds) + clockDifferenceMilliseconds,
        longestMilliseconds,
      )
      const words = ['SET', prefix + storeKey(id), '1', 'NX', 'PX', String(keptMilliseconds)]
      const answer = await ask(client, words, timeoutMilliseconds)
      if (answer === 'OK') return true
      if (answer === null) return false
      throw new LimitsError('store_unavailable', 'Redis answered SET NX with neither OK nor nil')
    },
  }
}

// A replica whose clock is behind takes a token for valid a little longer than the one that saw it first.
const clockDifferenceMilliseconds = 60_000
const longestMilliseconds = 10 * 365 * 86_400_000
