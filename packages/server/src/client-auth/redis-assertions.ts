import { hash } from 'node:crypto'
import { createRedisSingleUse, type RedisClient } from '@countersign/limits'
import type { SingleUseAssertions } from './client-auth-method.ts'

/**
 * Remembers used assertions in Redis, for every replica; what was issued before Redis's memory began is refused.
 * @param issuer keeps deployments on one Redis apart
 * @param now seconds since the epoch
 */
export function createRedisAssertions(client: RedisClient, issuer: string, now: () => number): SingleUseAssertions {
  const prefix = `countersign:assertion:${hash('sha256', issuer, 'base64url').slice(0, 16)}:`
  const assertions = createRedisSingleUse({ client, prefix, now: () => now() * 1_000 })
  return {
    async firstUse(id, expiresAt, issuedAt) {
      return (await assertions.use(id, expiresAt, { issuedAt: endOfSecond(issuedAt) })) === 'first'
    },
  }
}

/** An `iat` names the second, the memory its beginning to the millisecond. */
function endOfSecond(issuedAt: number): number {
  return Math.floor(issuedAt) + 0.999
}
