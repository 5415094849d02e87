import { createRedisRateLimiter, type RateLimiter, type RedisClient, refuseRedisEviction } from '@countersign/limits'
import { StoreError } from '../storage/store.ts'

export interface RedisConnection {
  /** For `AuthoritySettings.redis`: remembers used assertions for every replica */
  client: RedisClient
  /** Counts for every replica together */
  limiter: RateLimiter
  close(): Promise<void>
}

const connectMilliseconds = 5_000
const longestRetryMilliseconds = 1_000

/**
 * Connects to the Redis or Valkey that replicas share. While it is away later on, commands fail at once and whoever
 * needs one refuses; the connection comes back by itself.
 * @param url `redis://user:password@host:port/database`, or `rediss://` for TLS
 * @param onError told of each failure of an established connection
 * @throws StoreError `unavailable` with a sentence that says which Redis and why; it never holds the password
 */
export async function connectRedis(url: string, onError: (error: Error) => void = () => {}): Promise<RedisConnection> {
  const client = await createRedis(url, onError)
  try {
    await client.connect()
    // An evicted assertion could be used again, and an evicted limit starts anew.
    await refuseRedisEviction(client)
  } catch (error) {
    client.destroy()
    throw new StoreError(
      'unavailable',
      `Redis at ${describe(url)} cannot be used: ${reason(error)}; start it, or correct redis_url`,
    )
  }
  return {
    client,
    limiter: createRedisRateLimiter({ client }),
    close: async () => client.destroy(),
  }
}

async function createRedis(url: string, onError: (error: Error) => void) {
  // Loaded only where there is a Redis: it is a third of the memory of a server without one.
  const { createClient } = await import('redis')
  let connected = false
  try {
    const client = createClient({
      url,
      // A queue would let requests wait, and be counted, long after their callers have gone.
      disableOfflineQueue: true,
      socket: {
        connectTimeout: connectMilliseconds,
        // Unreachable at start is a mistake to be told of; unreachable later is an outage to be sat out.
        reconnectStrategy: (retries, cause) =>
          connected ? Math.min(50 * 2 ** retries, longestRetryMilliseconds) : cause,
      },
    })
    client.on('ready', () => {
      connected = true
    })
    client.on('error', (error: Error) => connected && onError(error))
    return client
  } catch (error) {
    throw new StoreError(
      'unavailable',
      `Redis at ${describe(url)} cannot be used: ${reason(error)}; start it, or correct redis_url`,
    )
  }
}

function reason(error: unknown): string {
  const { message, code } = error as Error & { code?: string }
  return message || code || 'it did not answer'
}

function describe(url: string): string {
  try {
    const { hostname, port, pathname } = new URL(url)
    return `${hostname || 'localhost'}:${port || 6379}${pathname.length > 1 ? pathname : ''}`
  } catch {
    return 'the configured address'
  }
}
