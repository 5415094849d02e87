import {
  connectRedis as connect,
  createRedisRateLimiter,
  type RateLimiter,
  type RedisClient,
} from '@countersign/limits'
import { StoreError } from '../storage/store.ts'

export interface RedisConnection {
  /** For `AuthoritySettings.redis`: remembers used assertions for every replica */
  client: RedisClient
  /** Counts for every replica together */
  limiter: RateLimiter
  close(): Promise<void>
}

/**
 * Connects to the Redis or Valkey that replicas share.
 * @param url `redis://user:password@host:port/database`, or `rediss://` for TLS
 * @param onError told of each failure of an established connection
 * @throws StoreError `unavailable` with a sentence that says which Redis and why; it never holds the password
 */
export async function connectRedis(url: string, onError: (error: Error) => void = () => {}): Promise<RedisConnection> {
  const client = await connect({ url, setting: 'redis_url', onError }).catch((error: Error) => {
    throw new StoreError('unavailable', error.message)
  })
  return {
    client,
    limiter: createRedisRateLimiter({ client }),
    close: async () => client.destroy(),
  }
}
