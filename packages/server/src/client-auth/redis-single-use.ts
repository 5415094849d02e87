import { hash } from 'node:crypto'
import type { RedisClient } from '@countersign/limits'
import { StoreError } from '../storage/store.ts'
import type { SingleUseAssertions } from './client-auth-method.ts'

const patienceMilliseconds = 1_000
/** A replica whose clock is behind takes an assertion for valid a little longer than the one that saw it first. */
const clockDifferenceSeconds = 60

/**
 * Remembers used assertions in Redis, for every replica. A Redis that was started anew, or a replica of it that took its
 * place, may have forgotten which were used, all or only the last ones: what was issued before is refused.
 * @param scope keeps deployments on one Redis apart, such as the issuer
 */
export function createRedisSingleUse(client: RedisClient, scope: string, now: () => number): SingleUseAssertions {
  const prefix = `countersign:assertion:${digest(scope).slice(0, 16)}:`
  return {
    async firstUse(id, expiresAt, issuedAt) {
      const lifetimeSeconds = expiresAt - now()
      if (!(lifetimeSeconds > 0)) return false
      const keptSeconds = Math.ceil(lifetimeSeconds) + clockDifferenceSeconds
      const keys = [`${prefix}${digest(id)}`, `${prefix}memory`]
      const answer = await ask(client, ['EVAL', script, '2', ...keys, String(keptSeconds), String(issuedAt)])
      return Number(answer) === 1
    },
  }
}

// What Redis has loaded from its disk or was sent by its master lacks the last writes; run_id is another one then.
const script = `
local run = string.match(redis.call('INFO', 'server'), 'run_id:(%w+)') or 'unknown'
local began = redis.call('HMGET', KEYS[2], 'run', 'at')
local since = began[2]
if began[1] ~= run or not since then
  since = redis.call('TIME')[1]
  redis.call('HSET', KEYS[2], 'run', run, 'at', since)
end
if tonumber(ARGV[2]) < tonumber(since) then return 0 end
if redis.call('SET', KEYS[1], '1', 'NX', 'EX', ARGV[1]) then return 1 end
return 0
`

/** @throws StoreError `unavailable`: it cannot be known whether the assertion is new, so it is not accepted */
async function ask(client: RedisClient, words: string[]): Promise<unknown> {
  const late = Promise.withResolvers<never>()
  const timer = setTimeout(() => late.reject(new Error('no answer')), patienceMilliseconds)
  try {
    return await Promise.race([client.sendCommand(words), late.promise])
  } catch (cause) {
    throw new StoreError('unavailable', `Redis failed: ${(cause as Error).message}`, { cause })
  } finally {
    clearTimeout(timer)
  }
}

function digest(text: string): string {
  return hash('sha256', text, 'base64url')
}
