import { randomUUID } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { startOwnRedis, startRedis, withoutOwnRedis, withoutRedis } from './redis.fixture.ts'
import { redisMayEvict } from './redis-eviction.ts'
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

describe.skipIf(withoutOwnRedis)('createRedisSingleUse, when Redis is in trouble', () => {
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

  it('takes a Redis that does not tell for one that may', async () => {
    expect(await redisMayEvict({ sendCommand: () => Promise.resolve('') })).toBe(true)
  })
})
