import { LimitsError } from './limits-error.ts'
import type { RedisClient } from './redis-client.ts'
import { refuseRedisEviction } from './redis-eviction.ts'

export interface ConnectedRedis extends RedisClient {
  /** Again, after `destroy`; rejects where nobody answers. */
  connect(): Promise<unknown>
  destroy(): void
}

export interface RedisConnectionOptions {
  /** `redis://user:password@host:port/database`, or `rediss://` for TLS */
  url: string
  /** The setting that holds the URL, as the sentence of a failure names it */
  setting: string
  /** Told of each failure of an established connection */
  onError: (error: Error) => void
}

const connectMilliseconds = 5_000
const longestRetryMilliseconds = 1_000

/**
 * Connects to a Redis or Valkey that several processes share. While it is away later on, commands fail at once and
 * whoever needs one refuses; the connection comes back by itself. Throws LimitsError `store_unavailable` with a sentence
 * that says which Redis, why, and what to do; it never holds the password.
 */
export async function connectRedis({ url, setting, onError }: RedisConnectionOptions): Promise<ConnectedRedis> {
  // Loaded only where there is a Redis: it takes more memory than the rest of a small service.
  const { createClient } = await import('redis')
  let connected = false
  let client: ConnectedRedis | undefined
  try {
    const made = createClient({
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
    client = made
    made.on('ready', () => {
      connected = true
    })
    made.on('error', (error: Error) => connected && onError(error))
    await made.connect()
    // What was evicted, a used identifier could be used again, and a limit starts anew.
    await refuseRedisEviction(made)
    return made
  } catch (error) {
    client?.destroy()
    const { message, code } = error as Error & { code?: string }
    const reason = message || code || 'it did not answer'
    throw new LimitsError(
      'store_unavailable',
      `Redis at ${place(url)} cannot be used: ${reason}; start it, or correct ${setting}`,
    )
  }
}

function place(url: string): string {
  const parsed = URL.parse(url)
  if (!parsed) return 'the configured address'
  const { hostname, port, pathname } = parsed
  return `${hostname || 'localhost'}:${port || 6379}${pathname.length > 1 ? pathname : ''}`
}
