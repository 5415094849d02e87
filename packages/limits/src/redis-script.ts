import { createHash } from 'node:crypto'
import { LimitsError } from './limits-error.ts'
import { ask, type RedisClient } from './redis-client.ts'

/** A Lua script that Redis runs as one step. */
export interface RedisScript {
  /**
   * @param words the number of keys, the keys, and the arguments
   * @throws LimitsError `store_unavailable`
   */
  run(client: RedisClient, words: readonly string[], timeoutMilliseconds: number): Promise<unknown>
}

/** Sends only the digest of what Redis knows already, and the text when it was started anew. */
export function redisScript(text: string): RedisScript {
  const digest = createHash('sha1').update(text).digest('hex')
  return {
    async run(client, words, timeoutMilliseconds) {
      try {
        return await ask(client, ['EVALSHA', digest, ...words], timeoutMilliseconds)
      } catch (error) {
        if (!(error instanceof LimitsError) || !/\bNOSCRIPT\b/.test(error.message)) throw error
        return ask(client, ['EVAL', text, ...words], timeoutMilliseconds)
      }
    },
  }
}
