import { LimitsError } from './limits-error.ts'
import { ask, type RedisClient } from './redis-client.ts'

/**
 * Whether this Redis may drop keys that have not expired, which would make used identifiers usable again: it has a
 * memory limit and a policy other than `noeviction`. True too for one that does not tell. Throws LimitsError
 * `store_unavailable`.
 */
export async function redisMayEvict(client: RedisClient, timeoutMilliseconds = 1_000): Promise<boolean> {
  const { limit, policy } = await memoryOf(client, timeoutMilliseconds)
  return limit !== '0' && policy !== 'noeviction'
}

/**
 * For a program that starts: throws LimitsError `store_unavailable`, with what to set, for a Redis that says that it
 * drops keys which have not expired. One that does not tell, as some that are rented do not, passes.
 */
export async function refuseRedisEviction(client: RedisClient, timeoutMilliseconds = 1_000): Promise<void> {
  const { limit = '0', policy = 'noeviction' } = await memoryOf(client, timeoutMilliseconds)
  if (limit === '0' || policy === 'noeviction') return
  throw new LimitsError(
    'store_unavailable',
    `it may evict what must be remembered (maxmemory-policy ${policy}); set maxmemory-policy noeviction`,
  )
}

async function memoryOf(
  client: RedisClient,
  timeoutMilliseconds: number,
): Promise<{ limit?: string; policy?: string }> {
  const memory = String(await ask(client, ['INFO', 'memory'], timeoutMilliseconds))
  return { limit: /^maxmemory:(\d+)/m.exec(memory)?.[1], policy: /^maxmemory_policy:(\S+)/m.exec(memory)?.[1] }
}
