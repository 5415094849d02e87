import { LimitsError } from './limits-error.ts'
import { ask, checkRedisClient, type RedisClient } from './redis-client.ts'
import { redisScript } from './redis-script.ts'
import type { SingleUse, UseOutcome } from './single-use.ts'
import { storeKey } from './store-key.ts'

export interface RedisSingleUse extends SingleUse {
  firstUse(id: string, expiresAt: number): Promise<boolean>
  use(id: string, expiresAt: number, use: { issuedAt: number; place?: string }): Promise<UseOutcome>
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

/**
 * Single use across all replicas on one Redis. Redis must not evict (`maxmemory-policy noeviction`). A Redis that was
 * started anew, or a replica of it that took its place, may have forgotten some uses, all or only the last ones: to
 * `use` its memory begins then.
 */
export function createRedisSingleUse(options: RedisSingleUseOptions): RedisSingleUse {
  const { client, prefix = 'countersign:used:', now = Date.now, timeoutMilliseconds = 1_000 } = options
  checkRedisClient(client)
  const memoryKey = `${prefix}memory`

  async function firstUse(id: string, expiresAt: number): Promise<boolean> {
    const keptMilliseconds = millisecondsToKeep(expiresAt, now())
    if (keptMilliseconds === 0) return false
    const words = ['SET', prefix + storeKey(id), '1', 'NX', 'PX', String(keptMilliseconds)]
    const answer = await ask(client, words, timeoutMilliseconds)
    if (answer === 'OK') return true
    if (answer === null) return false
    throw new LimitsError('store_unavailable', 'Redis answered SET NX with neither OK nor nil')
  }

  async function use(
    id: string,
    expiresAt: number,
    { issuedAt, place }: { issuedAt: number; place?: string },
  ): Promise<UseOutcome> {
    const keptMilliseconds = millisecondsToKeep(expiresAt, now())
    if (keptMilliseconds === 0 || !Number.isFinite(issuedAt)) return 'unknowable'
    const words = ['2', prefix + storeKey(id), memoryKey, String(keptMilliseconds)]
    words.push(String(Math.round(issuedAt * 1_000)), place === undefined ? anywhere : storeKey(place))
    const outcome = await script.run(client, words, timeoutMilliseconds)
    if (isOutcome(outcome)) return outcome
    throw new LimitsError('store_unavailable', 'Redis answered the use with something that is no outcome')
  }

  // The memory begins with the first replica, so that the first token ever is not taken for one from before it. Who
  // uses a Redis that is away will hear of it then.
  const begin = ['2', memoryKey, memoryKey, '', '', '']
  script.load(client, begin, timeoutMilliseconds).catch(() => {})

  return { firstUse, use }
}

const outcomes: readonly unknown[] = ['first', 'again', 'used', 'unknowable'] satisfies UseOutcome[]

function isOutcome(answer: unknown): answer is UseOutcome {
  return outcomes.includes(answer)
}

// A replica whose clock is behind takes a token for valid a little longer than the one that saw it first.
const clockDifferenceMilliseconds = 60_000
const longestMilliseconds = 10 * 365 * 86_400_000

/** 0 for what has expired, which would not be remembered. */
function millisecondsToKeep(expiresAt: number, nowMilliseconds: number): number {
  const lifetimeMilliseconds = expiresAt * 1_000 - nowMilliseconds
  if (!(lifetimeMilliseconds > 0)) return 0
  return Math.min(Math.ceil(lifetimeMilliseconds) + clockDifferenceMilliseconds, longestMilliseconds)
}

/** The value of what has no place; those of places begin otherwise. */
const anywhere = '1'

// What Redis has loaded from its disk or was sent by its master lacks the last writes; run_id is another one then.
const script = redisScript(`
local run = string.match(redis.call('INFO', 'server'), 'run_id:(%w+)') or 'unknown'
local began = redis.call('HMGET', KEYS[2], 'run', 'since')
local since = began[2]
if began[1] ~= run or not since then
  local time = redis.call('TIME')
  since = string.format('%.0f', time[1] * 1000 + math.floor(time[2] / 1000))
  redis.call('HSET', KEYS[2], 'run', run, 'since', since)
end
if ARGV[1] == '' then return since end
local place = redis.call('GET', KEYS[1])
if place then
  if place ~= ARGV[3] or place == '${anywhere}' then return 'used' end
  if redis.call('PTTL', KEYS[1]) < tonumber(ARGV[1]) then redis.call('PEXPIRE', KEYS[1], ARGV[1]) end
  return 'again'
end
if tonumber(ARGV[2]) < tonumber(since) then return 'unknowable' end
redis.call('SET', KEYS[1], ARGV[3], 'PX', ARGV[1])
return 'first'
`)
