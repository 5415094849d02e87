import { LimitsError } from './limits-error.ts'
import { cellsOf, decide, type LimitDecision, type RateLimit, type RateLimiter } from './rate-limit.ts'
import { checkRedisClient, type RedisClient } from './redis-client.ts'
import { redisScript } from './redis-script.ts'
import { storeKey } from './store-key.ts'

export interface RedisRateLimiter extends RateLimiter {
  take(limit: RateLimit, key: string, cost?: number): Promise<LimitDecision>
  /** What `take` would say now, taking nothing. */
  peek(limit: RateLimit, key: string): Promise<LimitDecision>
}

export interface RedisRateLimiterOptions {
  client: RedisClient
  /** Before every key. Default `countersign:limit:`. */
  prefix?: string
  /** Milliseconds; default Redis's own clock, which all replicas share. */
  now?: () => number
  /** Default 1,000. */
  timeoutMilliseconds?: number
}

/** Rate limits that all replicas on one Redis count together; each call is one script, so none can come between. */
export function createRedisRateLimiter(options: RedisRateLimiterOptions): RedisRateLimiter {
  const { client, prefix = 'countersign:limit:', now, timeoutMilliseconds = 1_000 } = options
  checkRedisClient(client)

  async function take(limit: RateLimit, key: string, cost = 1): Promise<LimitDecision> {
    const cells = cellsOf(limit, cost)
    const words = [
      '1',
      prefix + storeKey(limit.name, key),
      String(cells.intervalMicroseconds * cost),
      String(cells.toleranceMicroseconds),
      now === undefined ? '' : String(Math.floor(now() * 1_000)),
    ]
    const answer = await script.run(client, words, timeoutMilliseconds)
    if (typeof answer !== 'string' || !/^\d{1,16}$/.test(answer)) {
      throw new LimitsError('store_unavailable', 'Redis answered the rate limit with something that is no number')
    }
    return decide(limit, cells, cost, Number(answer)).decision
  }

  return { take, peek: (limit, key) => take(limit, key, 0) }
}

// Answers how far ahead of the clock the key was; what that means is decided by the same code as in memory.
// Numbers leave it as %.0f: as a Lua number the answer would be cut to an integer reply, and tostring rounds.
const script = redisScript(`
local now = tonumber(ARGV[3])
if not now then
  local time = redis.call('TIME')
  now = time[1] * 1000000 + time[2]
end
local wanted = tonumber(ARGV[1])
local tolerance = tonumber(ARGV[2])
local fullAt = tonumber(redis.call('GET', KEYS[1]) or '0') or 0
local ahead = math.min(math.max(fullAt - now, 0), tolerance)
local after = ahead + wanted
if wanted > 0 and after <= tolerance then
  redis.call('SET', KEYS[1], string.format('%.0f', now + after), 'PX', string.format('%.0f', math.ceil(after / 1000)))
end
return string.format('%.0f', ahead)
`)
