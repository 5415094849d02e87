import { ask, type RedisClient } from './redis-client.ts'

/**
 * Whether this Redis may drop keys that have not expired, which would make used identifiers usable again: it has a
 * memory limit and a policy other than `noeviction`. Throws LimitsError `store_unavailable`.
 */
export async function redisMayEvict(client: RedisClient, timeoutMilliseconds = 1_000): Promise<boolean> {
  const memory = String(await ask(client, ['INFO', 'memory'], timeoutMilliseconds))
  const limit = /^maxmemory:(\d+)\r?$/m.exec(memory)?.[1]
  const policy = /^maxmemory_policy:(\S+?)\r?$/m.exec(memory)?.[1]
  return limit !== '0' && policy !== 'noeviction'
}
