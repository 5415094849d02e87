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
  /** The same at once, without asking first whether Redis knows the script. */
  load(client: RedisClient, words: readonly string[], timeoutMilliseconds: number): Promise<unknown>
}

/** Sends only the digest of what Redis knows already, and the text when it was started anew. */
export function redisScript(text: string): RedisScript {
  const digest = createHash('sha1').update(text).digest('hex')
  const load: RedisScript['load'] = (client, words, timeoutMilliseconds) =>
    ask(client, ['EVAL', text, ...words], timeoutMilliseconds)
  return {
    load,
    async run(client, words, timeoutMilliseconds) {
      try {
        return await ask(client, ['EVALSHA', digest, ...words], timeoutMilliseconds)
      } catch (error) {
        if (!(error instanceof LimitsError) || !/\bNOSCRIPT\b/.test(error.message)) throw error
        return load(client, words, timeoutMilliseconds)
      }
    },
  }
}
