import { randomUUID } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { startOwnRedis, startRedis, withoutOwnRedis, withoutRedis } from './redis.fixture.ts'
import { createRedisRateLimiter } from './redis-rate-limiter.ts'

const limit = { name: 'address', quota: 5, windowSeconds: 60 }

describe.skipIf(withoutRedis)('createRedisRateLimiter', () => {
  it('counts the calls of all replicas together, 100 at once', async () => {
    await using redis = await startRedis()
    const other = await redis.connect()
    const prefix = `${randomUUID()}:`
    const replicas = [redis.client, other].map((client) => createRedisRateLimiter({ client, prefix }))
    const calls = Array.from({ length: 100 }, (_, index) => replicas[index % 2]?.take(limit, 'a'))
    expect((await Promise.all(calls)).filter((decision) => decision?.allowed)).toHaveLength(5)
  })

  it('leaves nothing behind once a key is idle', async () => {
    await using redis = await startRedis()
    const prefix = `${randomUUID()}:`
    const limiter = createRedisRateLimiter({ client: redis.client, prefix })
    await limiter.take({ name: 'short', quota: 1, windowSeconds: 2 }, 'a')
    await limiter.peek(limit, 'never used')
    expect(await redis.client.keys(`${prefix}*`)).toHaveLength(1)
    await expect.poll(() => redis.client.keys(`${prefix}*`), { timeout: 20_000 }).toEqual([])
  })

  it('writes no more key than it must, however long the caller makes it', async () => {
    await using redis = await startRedis()
    const prefix = `${randomUUID()}:`
    await createRedisRateLimiter({ client: redis.client, prefix }).take(limit, 'x'.repeat(1_000_000))
    const [key = ''] = await redis.client.keys(`${prefix}*`)
    expect(key.length).toBeLessThan(100)
  })
})

describe.skipIf(withoutOwnRedis)('createRedisRateLimiter, when Redis is in trouble', () => {
  it('goes on after Redis has forgotten its scripts', async () => {
    await using redis = await startOwnRedis()
    const limiter = createRedisRateLimiter({ client: redis.client })
    await limiter.take(limit, 'a')
    await redis.client.scriptFlush()
    expect(await limiter.take(limit, 'a')).toMatchObject({ allowed: true, remaining: 3 })
  })

  it('throws soon when Redis is gone, so that the call is refused and not let pass or left hanging', async () => {
    await using redis = await startOwnRedis()
    const limiter = createRedisRateLimiter({ client: redis.client, timeoutMilliseconds: 200 })
    await limiter.take(limit, 'a')
    await redis.kill()
    const startedAt = performance.now()
    for (let call = 0; call < 3; call += 1) {
      await expect(limiter.take(limit, 'a')).rejects.toMatchObject({ name: 'LimitsError', code: 'store_unavailable' })
    }
    expect(performance.now() - startedAt).toBeLessThan(10_000)
  })

  it('throws when Redis hangs', async () => {
    await using redis = await startOwnRedis()
    const limiter = createRedisRateLimiter({ client: redis.client, timeoutMilliseconds: 200 })
    const other = await redis.connect()
    await other.sendCommand(['CLIENT', 'PAUSE', '60000', 'ALL'])
    await expect(limiter.take(limit, 'a')).rejects.toMatchObject({ code: 'store_unavailable' })
  })

  it('throws when Redis is full or read-only', async () => {
    await using full = await startOwnRedis('--maxmemory', '1', '--maxmemory-policy', 'noeviction')
    await expect(createRedisRateLimiter({ client: full.client }).take(limit, 'a')).rejects.toMatchObject({
      code: 'store_unavailable',
    })
    await using replica = await startOwnRedis('--replicaof', '127.0.0.1', '1')
    await expect(createRedisRateLimiter({ client: replica.client }).take(limit, 'a')).rejects.toMatchObject({
      code: 'store_unavailable',
    })
  })

  it('does not repeat the key in its error', async () => {
    const client = { sendCommand: () => Promise.reject(new Error('connection closed')) }
    const error = await createRedisRateLimiter({ client })
      .take(limit, 'canary')
      .catch((reason) => reason)
    expect(error.message).toBe('Redis did not do EVALSHA: connection closed')
  })

  it('throws when the answer is not one of the script', async () => {
    for (const answer of [null, 'x', -1, {}, 'NaN', [], undefined]) {
      const client = { sendCommand: () => Promise.resolve(answer) }
      await expect(createRedisRateLimiter({ client }).take(limit, 'a')).rejects.toMatchObject({
        code: 'store_unavailable',
      })
    }
  })
})
