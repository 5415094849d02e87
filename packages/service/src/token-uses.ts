import type { ServiceTokenUses } from '@countersign/guard'
import { createMemorySingleUse, createRedisSingleUse, type RedisClient, refuseRedisEviction } from '@countersign/limits'
import { describeError, reasonOf } from './log/describe-error.ts'
import type { ServiceLogger } from './service-context.ts'
import { ServiceError } from './service-error.ts'
import type { ServiceSettings } from './settings/settings.ts'

/** Where used tokens are remembered. */
export interface TokenUses {
  readonly memory: ServiceTokenUses
  /** For the log, at start. */
  readonly notices: readonly string[]
  /** Rejects with ServiceError `cannot_start`. */
  open(): Promise<void>
  /** Rejects while nothing can be remembered; then every service token is refused too. */
  ready(): Promise<void>
  close(): Promise<void>
}

/** In the Redis of REDIS_URL, for all replicas together; without one, in this process alone. */
export function createTokenUses(settings: ServiceSettings, log: ServiceLogger, now: () => number): TokenUses {
  const { redisUrl, isProduction } = settings
  if (redisUrl !== undefined) return inRedis(redisUrl, log, now)
  const notice =
    'used service tokens are remembered in this process alone: a second replica, or the next start, would not know them; set REDIS_URL'
  return {
    // Without its `startedAt`, since the notice below says the same in the kit's own words.
    memory: { use: createMemorySingleUse({ now }).use },
    notices: isProduction ? [notice] : [],
    async open() {},
    async ready() {},
    async close() {},
  }
}

function inRedis(url: string, log: ServiceLogger, now: () => number): TokenUses {
  let connected: Awaited<ReturnType<typeof connect>> | undefined
  const client: RedisClient = {
    async sendCommand(words) {
      if (connected === undefined) throw new Error('the connection is not open yet')
      return connected.sendCommand(words)
    },
  }
  let memory: ServiceTokenUses | undefined
  return {
    memory: {
      use(id, expiresAt, use) {
        if (memory === undefined) throw new Error('Redis is not connected yet')
        return memory.use(id, expiresAt, use)
      },
    },
    notices: [],
    async open() {
      connected = await connect(url, log)
      memory = createRedisSingleUse({ client, now })
    },
    async ready() {
      if (connected?.isReady !== true) throw new Error('Redis, which remembers used service tokens, does not answer')
    },
    async close() {
      connected?.destroy()
      connected = undefined
    },
  }
}

async function connect(url: string, log: ServiceLogger) {
  // Loaded only where there is a Redis: it takes more memory than the rest of a small service.
  const { createClient } = await import('redis')
  let hasConnected = false
  const client = createClient({
    url,
    // A queue would let tokens be counted long after their senders have gone.
    disableOfflineQueue: true,
    socket: {
      connectTimeout: 5_000,
      // Unreachable at start is a mistake to be told of; unreachable later is an outage to be sat out.
      reconnectStrategy: (retries, cause) => (hasConnected ? Math.min(50 * 2 ** retries, 1_000) : cause),
    },
  })
  client.on('ready', () => {
    hasConnected = true
  })
  client.on('error', (error: Error) => hasConnected && log.warn({ err: describeError(error) }, 'Redis failed'))
  try {
    await client.connect()
    // A forgotten token could be used again.
    await refuseRedisEviction(client)
    return client
  } catch (cause) {
    client.destroy()
    const { host = 'the configured address' } = URL.parse(url) ?? {}
    throw new ServiceError(
      'cannot_start',
      `Redis at ${host} cannot be used: ${reasonOf(cause)}; start it, or correct REDIS_URL`,
    )
  }
}
