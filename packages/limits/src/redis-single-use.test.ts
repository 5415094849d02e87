import { randomUUID } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { startOwnRedis, startRedis, withoutOwnRedis, withoutRedis } from './redis.fixture.ts'
import type { RedisClient } from './redis-client.ts'
import { redisMayEvict, refuseRedisEviction } from './redis-eviction.ts'
import { createRedisRateLimiter } from './redis-rate-limiter.ts'
import { createRedisSingleUse } from './redis-single-use.ts'

const inAMinute = () => Date.now() / 1_000 + 60

describe.skipIf(withoutRedis)('createRedisSingleUse', () => {
  it('lets one of all replicas have the identifier, 100 at once', async () => {
    await using redis = await startRedis()
    const other = await redis.connect()
    const prefix = `${randomUUID()}:`
    const replicas = [redis.client, other].map((client) => createRedisSingleUse({ client, prefix }))
    const uses = Array.from({ length: 100 }, (_, index) => replicas[index % 2]?.firstUse('a', inAMinute()))
    expect((await Promise.all(uses)).filter(Boolean)).toHaveLength(1)
  })

  it('remembers a minute longer than asked, for replicas whose clock is behind', async () => {
    await using redis = await startRedis()
    const prefix = `${randomUUID()}:`
    const ahead = createRedisSingleUse({ client: redis.client, prefix })
    const behind = createRedisSingleUse({ client: redis.client, prefix, now: () => Date.now() - 50_000 })
    const expiresAt = Date.now() / 1_000 + 0.05
    expect(await ahead.firstUse('a', expiresAt)).toBe(true)
    await new Promise((resolve) => setTimeout(resolve, 100))
    expect(await behind.firstUse('a', expiresAt)).toBe(false)
  })

  it('leaves the forgetting to Redis', async () => {
    await using redis = await startRedis()
    const prefix = `${randomUUID()}:`
    await createRedisSingleUse({ client: redis.client, prefix }).firstUse('a', inAMinute())
    const [key = ''] = await redis.client.keys(`${prefix}=*`)
    const keptMilliseconds = await redis.client.pTTL(key)
    expect(keptMilliseconds).toBeGreaterThan(110_000)
    expect(keptMilliseconds).toBeLessThanOrEqual(120_001)
  })
})

describe.skipIf(withoutRedis)('use in Redis', () => {
  const now = () => Date.now() / 1_000

  it('lets one of all replicas have the token, 100 at once', async () => {
    await using redis = await startRedis()
    const other = await redis.connect()
    const prefix = `${randomUUID()}:`
    const replicas = [redis.client, other].map((client) => createRedisSingleUse({ client, prefix }))
    const uses = Array.from({ length: 100 }, (_, index) =>
      replicas[index % 2]?.use('a', inAMinute(), { issuedAt: now() + 1 }),
    )
    expect((await Promise.all(uses)).filter((outcome) => outcome === 'first')).toHaveLength(1)
  })

  it('begins to remember when it is made, so that the very first token passes', async () => {
    await using redis = await startRedis()
    const used = createRedisSingleUse({ client: redis.client, prefix: `${randomUUID()}:` })
    await used.firstUse('so that it has begun', inAMinute())
    const issuedAt = now() + 0.002
    await new Promise((resolve) => setTimeout(resolve, 50))
    expect(await used.use('a', inAMinute(), { issuedAt })).toBe('first')
  })

  it('remembers for a replica that starts later, which therefore need not refuse what is older than itself', async () => {
    await using redis = await startRedis()
    const prefix = `${randomUUID()}:`
    const before = createRedisSingleUse({ client: redis.client, prefix })
    await before.firstUse('so that it has begun', inAMinute())
    const issuedAt = now()
    expect(await before.use('a', inAMinute(), { issuedAt })).toBe('first')
    await new Promise((resolve) => setTimeout(resolve, 50))
    const restarted = createRedisSingleUse({ client: redis.client, prefix })
    expect(await restarted.use('a', inAMinute(), { issuedAt })).toBe('used')
    expect(await restarted.use('b', inAMinute(), { issuedAt })).toBe('first')
  })

  it('keeps a redelivered one as long as its last delivery asks, and never shorter', async () => {
    await using redis = await startRedis()
    const prefix = `${randomUUID()}:`
    const used = createRedisSingleUse({ client: redis.client, prefix })
    const use = { issuedAt: now() + 1, place: 'orders/0/17' }
    const kept = async () => redis.client.pTTL((await redis.client.keys(`${prefix}=*`))[0] ?? '')
    await used.use('a', inAMinute(), use)
    await used.use('a', inAMinute() + 600, use)
    expect(await kept()).toBeGreaterThan(700_000)
    await used.use('a', inAMinute(), use)
    expect(await kept()).toBeGreaterThan(700_000)
  })
})

describe.skipIf(withoutOwnRedis)('createRedisSingleUse, when Redis is in trouble', () => {
  it('cannot know what was issued before Redis was emptied', async () => {
    await using redis = await startOwnRedis()
    const used = createRedisSingleUse({ client: redis.client })
    await used.firstUse('so that it has begun', inAMinute())
    const issuedAt = Date.now() / 1_000
    expect(await used.use('a', inAMinute(), { issuedAt, place: 'orders/0/17' })).toBe('first')
    await new Promise((resolve) => setTimeout(resolve, 50))
    await redis.client.flushAll()
    expect(await used.use('a', inAMinute(), { issuedAt, place: 'orders/0/17' })).toBe('unknowable')
    expect(await used.use('b', inAMinute(), { issuedAt: Date.now() / 1_000 + 1 })).toBe('first')
  })

  it('cannot know what was issued before a replica took the place of Redis, which may lack the last uses', async () => {
    await using main = await startOwnRedis()
    await using replica = await startOwnRedis()
    const used = createRedisSingleUse({ client: main.client })
    await used.firstUse('so that it has begun', inAMinute())
    const issuedAt = Date.now() / 1_000
    const { port } = new URL(main.url)
    await replica.client.replicaOf('127.0.0.1', Number(port))
    expect(await used.use('a', inAMinute(), { issuedAt })).toBe('first')
    await expect.poll(() => main.client.wait(1, 5_000), { timeout: 30_000 }).toBe(1)
    await new Promise((resolve) => setTimeout(resolve, 50))
    await main.kill()
    await replica.client.sendCommand(['REPLICAOF', 'NO', 'ONE'])
    const afterwards = createRedisSingleUse({ client: replica.client })
    expect(await afterwards.use('a', inAMinute(), { issuedAt })).toBe('used')
    expect(await afterwards.use('b', inAMinute(), { issuedAt })).toBe('unknowable')
    expect(await afterwards.use('c', inAMinute(), { issuedAt: Date.now() / 1_000 + 1 })).toBe('first')
  })

  it('throws when Redis is gone or full: a use is never taken for the first unchecked', async () => {
    await using redis = await startOwnRedis('--maxmemory', '1mb', '--maxmemory-policy', 'noeviction')
    const used = createRedisSingleUse({ client: redis.client, timeoutMilliseconds: 200 })
    const use = () => used.use('a', inAMinute(), { issuedAt: Date.now() / 1_000 + 1 })
    await expect(use()).rejects.toMatchObject({ code: 'store_unavailable' })
    await redis.kill()
    await expect(use()).rejects.toMatchObject({ name: 'LimitsError', code: 'store_unavailable' })
  })

  it('throws when the answer to a use is no outcome', async () => {
    for (const answer of ['', 'OK', 'FIRST', 1, null, undefined, {}]) {
      const used = createRedisSingleUse({ client: { sendCommand: () => Promise.resolve(answer) } })
      const use = used.use('a', inAMinute(), { issuedAt: Date.now() / 1_000 })
      await expect(use).rejects.toMatchObject({ code: 'store_unavailable' })
    }
  })

  it('throws soon when Redis is gone, so that nothing passes unchecked', async () => {
    await using redis = await startOwnRedis()
    const used = createRedisSingleUse({ client: redis.client, timeoutMilliseconds: 200 })
    await used.firstUse('a', inAMinute())
    await redis.kill()
    await expect(used.firstUse('b', inAMinute())).rejects.toMatchObject({
      name: 'LimitsError',
      code: 'store_unavailable',
    })
  })

  it('throws when Redis is full, and forgets nothing in favour of a flood', async () => {
    await using redis = await startOwnRedis('--maxmemory', '4mb', '--maxmemory-policy', 'noeviction')
    const used = createRedisSingleUse({ client: redis.client })
    expect(await used.firstUse('victim', inAMinute())).toBe(true)
    const flood = async () => {
      for (let round = 0; round < 200; round += 1) {
        await Promise.all(Array.from({ length: 500 }, (_, index) => used.firstUse(`${round}-${index}`, inAMinute())))
      }
    }
    await expect(flood()).rejects.toMatchObject({ code: 'store_unavailable' })
    expect(await redis.client.exists('countersign:used:=6:victim')).toBe(1)
    await expect(used.firstUse('victim', inAMinute()).catch(() => false)).resolves.toBe(false)
  })

  it('throws when the answer is neither yes nor no', async () => {
    for (const answer of ['', 'ok', 1, undefined, {}]) {
      const used = createRedisSingleUse({ client: { sendCommand: () => Promise.resolve(answer) } })
      await expect(used.firstUse('a', inAMinute())).rejects.toMatchObject({ code: 'store_unavailable' })
    }
  })
})

describe.skipIf(withoutOwnRedis)('redisMayEvict', () => {
  it.each([
    [[], false],
    [['--maxmemory', '10mb'], false],
    [['--maxmemory-policy', 'allkeys-lru'], false],
    [['--maxmemory', '10mb', '--maxmemory-policy', 'allkeys-lru'], true],
    [['--maxmemory', '10mb', '--maxmemory-policy', 'volatile-ttl'], true],
  ])('knows that a Redis with %j answers %s', async (settings, expected) => {
    await using redis = await startOwnRedis(...settings)
    expect(await redisMayEvict(redis.client)).toBe(expected)
  })

  it('is refused by name at start, and one that does not tell is not', async () => {
    await using redis = await startOwnRedis('--maxmemory', '10mb', '--maxmemory-policy', 'allkeys-lru')
    await expect(refuseRedisEviction(redis.client)).rejects.toMatchObject({
      code: 'store_unavailable',
      message: expect.stringContaining('maxmemory-policy allkeys-lru'),
    })
    await refuseRedisEviction({ sendCommand: () => Promise.resolve('') })
  })

  it('takes a Redis that does not tell for one that may', async () => {
    expect(await redisMayEvict({ sendCommand: () => Promise.resolve('') })).toBe(true)
  })
})

it('says at once that it was given no client, which a call would take for an outage', () => {
  const client = { sendCommand: async () => null }
  for (const make of [createRedisSingleUse, createRedisRateLimiter]) {
    for (const options of [{}, client, { client: {} }])
      expect(() => make(options as unknown as { client: RedisClient })).toThrow('"client" is missing')
  }
})
