import { setTimeout as pause } from 'node:timers/promises'
import type { ServiceTokenUses } from '@countersign/guard'
import {
  type ConnectedRedis,
  connectRedis,
  createMemorySingleUse,
  createRedisSingleUse,
  type RedisClient,
} from '@countersign/limits'
import { describeError } from './log/describe-error.ts'
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
  let connection: Connection | undefined
  const client: RedisClient = {
    async sendCommand(words) {
      if (connection === undefined) throw new Error('the connection is not open yet')
      return connection.sendCommand(words)
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
      connection = replacingSilent(await connect(url, log), log)
      memory = createRedisSingleUse({ client, now })
    },
    async ready() {
      const asked = client.sendCommand(['PING']).catch(() => undefined)
      const late = pause(answerMilliseconds, undefined, { ref: false })
      if ((await Promise.race([asked, late])) !== 'PONG')
        throw new Error('Redis, which remembers used service tokens, does not answer')
    },
    async close() {
      connection?.close()
      connection = undefined
    },
  }
}

/** Whoever asks whether we are ready does not wait long. */
const answerMilliseconds = 1_000
/** No command of ours takes a Redis that works so many looks, one a second. */
const mostSilentLooks = 5

interface Connection extends RedisClient {
  close(): void
}

/**
 * Connects anew where nothing is answered: of a peer that vanished without a word (a host that is gone, a firewall that
 * forgot) TCP tells only after a quarter of an hour, and all that time no token could be taken.
 */
function replacingSilent(client: ConnectedRedis, log: ServiceLogger): Connection {
  let unanswered = 0
  // Counted in looks, not in time: a process that was held up itself has not heard what Redis answered.
  let silentLooks = 0
  const watch = setInterval(() => {
    silentLooks = unanswered === 0 ? 0 : silentLooks + 1
    if (silentLooks <= mostSilentLooks) return
    log.warn({}, 'Redis has answered nothing for 5 seconds; connecting anew')
    silentLooks = 0
    client.destroy()
    client.connect().catch(() => {})
  }, 1_000).unref()
  return {
    async sendCommand(words) {
      unanswered += 1
      try {
        return await client.sendCommand(words)
      } finally {
        unanswered -= 1
        silentLooks = 0
      }
    },
    close() {
      clearInterval(watch)
      client.destroy()
    },
  }
}

async function connect(url: string, log: ServiceLogger): Promise<ConnectedRedis> {
  const onError = (error: Error) => log.warn({ err: describeError(error) }, 'Redis failed')
  return await connectRedis({ url, setting: 'REDIS_URL', onError }).catch((error: Error) => {
    throw new ServiceError('cannot_start', error.message)
  })
}
