import { LimitsError } from './limits-error.ts'

/** What is needed of a Redis or Valkey client. The `redis` package's client has it; the caller connects and closes it. */
export interface RedisClient {
  sendCommand(words: string[]): Promise<unknown>
}

/** At once, and not as an outage with the first call. Throws LimitsError `invalid_limit`. */
export function checkRedisClient(client: unknown): void {
  if (typeof (client as Partial<RedisClient> | undefined)?.sendCommand === 'function') return
  throw new LimitsError(
    'invalid_limit',
    '"client" is missing: give a connected client of the redis package, as { client }',
  )
}

/**
 * Sends one command and waits for its answer no longer than `timeoutMilliseconds`: a client that is reconnecting queues
 * commands without end. Throws LimitsError `store_unavailable`, without the command's words.
 */
export async function ask(client: RedisClient, words: string[], timeoutMilliseconds: number): Promise<unknown> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_fulfil, reject) => {
    timer = setTimeout(() => reject(new Error(`no answer within ${timeoutMilliseconds} ms`)), timeoutMilliseconds)
  })
  try {
    return await Promise.race([client.sendCommand(words), late])
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : 'unknown error'
    throw new LimitsError('store_unavailable', `Redis did not do ${words[0]}: ${why}`, { cause })
  } finally {
    clearTimeout(timer)
  }
}
