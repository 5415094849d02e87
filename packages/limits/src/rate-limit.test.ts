import { randomUUID } from 'node:crypto'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createMemoryRateLimiter } from './memory-rate-limiter.ts'
import type { LimitDecision, RateLimit } from './rate-limit.ts'
import { startRedis, type TestRedis, withoutRedis } from './redis.fixture.ts'
import { createRedisRateLimiter } from './redis-rate-limiter.ts'

interface Limiter {
  take(limit: RateLimit, key: string, cost?: number): LimitDecision | Promise<LimitDecision>
  peek(limit: RateLimit, key: string): LimitDecision | Promise<LimitDecision>
}

const perMinute: RateLimit = { name: 'client', quota: 60, windowSeconds: 60, burst: 3 }

let redis: TestRedis | undefined
beforeAll(async () => {
  if (!withoutRedis) redis = await startRedis()
})
afterAll(() => redis?.[Symbol.asyncDispose]())

const stores: [string, boolean, (now: () => number) => Limiter][] = [
  ['in memory', false, (now) => createMemoryRateLimiter({ now })],
  [
    'in Redis',
    withoutRedis,
    (now) => createRedisRateLimiter({ client: redis!.client, prefix: `${randomUUID()}:`, now }),
  ],
]

describe.each(stores)('a rate limit %s', (_where, left, create) => {
  function onClock() {
    // A time of today in milliseconds: microseconds since the epoch are where careless arithmetic loses digits.
    const clock = { milliseconds: 1_790_000_000_123 }
    return { limiter: create(() => clock.milliseconds), clock }
  }

  it.skipIf(left)('lets a burst pass and then one call each interval', async () => {
    const { limiter, clock } = onClock()
    for (const remaining of [2, 1, 0]) {
      expect(await limiter.take(perMinute, 'a')).toMatchObject({ allowed: true, remaining, retryAfterSeconds: 0 })
    }
    for (let second = 0; second < 5; second += 1) {
      expect(await limiter.take(perMinute, 'a')).toMatchObject({
        allowed: false,
        remaining: 0,
        retryAfterSeconds: 1,
        resetSeconds: 3,
      })
      clock.milliseconds += 999
      expect(await limiter.take(perMinute, 'a')).toMatchObject({ allowed: false })
      clock.milliseconds += 1
      expect(await limiter.take(perMinute, 'a')).toMatchObject({ allowed: true, remaining: 0 })
    }
  })

  it.skipIf(left)('gives everything back in time', async () => {
    const { limiter, clock } = onClock()
    for (let call = 0; call < 10; call += 1) await limiter.take(perMinute, 'a')
    clock.milliseconds += 3_000
    expect(await limiter.take(perMinute, 'a')).toMatchObject({ allowed: true, remaining: 2, resetSeconds: 1 })
  })

  it.skipIf(left)('is not lengthened by calls that it refuses', async () => {
    const { limiter, clock } = onClock()
    for (let call = 0; call < 1_000; call += 1) await limiter.take(perMinute, 'a')
    clock.milliseconds += 1_000
    expect(await limiter.take(perMinute, 'a')).toMatchObject({ allowed: true })
  })

  it.skipIf(left)('tells when a call that costs more would pass', async () => {
    const { limiter, clock } = onClock()
    expect(await limiter.take(perMinute, 'a', 2)).toMatchObject({ allowed: true, remaining: 1 })
    expect(await limiter.take(perMinute, 'a', 3)).toMatchObject({ allowed: false, remaining: 1, retryAfterSeconds: 2 })
    clock.milliseconds += 2_000
    expect(await limiter.take(perMinute, 'a', 3)).toMatchObject({ allowed: true, remaining: 0 })
  })

  it.skipIf(left)('can be looked at without taking anything', async () => {
    const { limiter } = onClock()
    for (let look = 0; look < 5; look += 1) {
      expect(await limiter.peek(perMinute, 'a')).toMatchObject({ allowed: true, remaining: 3, resetSeconds: 0 })
    }
    for (let call = 0; call < 3; call += 1) await limiter.take(perMinute, 'a')
    expect(await limiter.peek(perMinute, 'a')).toMatchObject({ allowed: false, remaining: 0, retryAfterSeconds: 1 })
    expect(await limiter.take(perMinute, 'a', 0)).toMatchObject({ allowed: false, remaining: 0 })
  })

  it.skipIf(left)('keeps keys and limits apart, also those that look alike when strung together', async () => {
    const { limiter } = onClock()
    const once = (name: string) => ({ name, quota: 1, windowSeconds: 60 })
    const pairs = [
      ['a', 'b:c'],
      ['a:b', 'c'],
      ['a', ''],
      ['a', 'b'],
      ['a', 'B'],
      ['a', 'b '],
      ['a', '1:b'],
      ['a', 'é'],
      ['a', 'e\u0301'],
      ['a', 'x'.repeat(5_000)],
      ['a', 'x'.repeat(5_001)],
      ['a', '\ud800'],
      ['a', '\ud801'],
      ['a', '\ufffd'],
      ['a', '__proto__'],
    ] as const
    for (const [name, key] of pairs) expect(await limiter.take(once(name), key)).toMatchObject({ allowed: true })
    for (const [name, key] of pairs) expect(await limiter.take(once(name), key)).toMatchObject({ allowed: false })
  })

  it.skipIf(left)('lets exactly the burst of 100 calls at once pass', async () => {
    const { limiter } = onClock()
    const decisions = await Promise.all(Array.from({ length: 100 }, () => limiter.take(perMinute, 'a')))
    expect(decisions.filter((decision) => decision.allowed)).toHaveLength(3)
  })

  it.skipIf(left)('never lets more pass than the quota of the time and the burst', async () => {
    const limits = fc.record({
      name: fc.constant('any'),
      quota: fc.integer({ min: 1, max: 50 }),
      windowSeconds: fc.integer({ min: 1, max: 100 }),
      burst: fc.integer({ min: 1, max: 20 }),
    })
    await fc.assert(
      fc.asyncProperty(limits, fc.array(fc.nat(5_000), { minLength: 20, maxLength: 60 }), async (limit, pauses) => {
        const { limiter, clock } = onClock()
        const startedAt = clock.milliseconds
        let passed = 0
        for (const pause of pauses) {
          clock.milliseconds += pause
          const before = await limiter.peek(limit, 'a')
          const decision = await limiter.take(limit, 'a')
          expect(decision.allowed).toBe(before.allowed)
          if (decision.allowed) passed += 1
          else expect(decision.retryAfterSeconds).toBeGreaterThanOrEqual(1)
        }
        const seconds = (clock.milliseconds - startedAt) / 1_000
        expect(passed).toBeLessThanOrEqual(limit.burst + (limit.quota * seconds) / limit.windowSeconds)
      }),
      { numRuns: 40 },
    )
  })

  it.skipIf(left)('lets what it promised pass after Retry-After', async () => {
    const { limiter, clock } = onClock()
    const odd: RateLimit = { name: 'odd', quota: 7, windowSeconds: 60 }
    for (let call = 0; call < 7; call += 1) await limiter.take(odd, 'a')
    for (let round = 0; round < 20; round += 1) {
      const refused = await limiter.take(odd, 'a')
      expect(refused.allowed).toBe(false)
      clock.milliseconds += refused.retryAfterSeconds * 1_000
      expect((await limiter.take(odd, 'a')).allowed).toBe(true)
    }
  })

  it.skipIf(left)('shuts nobody out for longer than its tolerance when the clock is set back an hour', async () => {
    const { limiter, clock } = onClock()
    for (let call = 0; call < 5; call += 1) await limiter.take(perMinute, 'a')
    clock.milliseconds -= 3_600_000
    expect(await limiter.take(perMinute, 'a')).toMatchObject({ allowed: false, retryAfterSeconds: 1, resetSeconds: 3 })
  })

  it.skipIf(left).each([
    ['a quota of nothing', { name: 'a', quota: 0, windowSeconds: 1 }, 1],
    ['a broken quota', { name: 'a', quota: Number.NaN, windowSeconds: 1 }, 1],
    ['a window of nothing', { name: 'a', quota: 1, windowSeconds: 0 }, 1],
    ['a burst of nothing', { name: 'a', quota: 1, windowSeconds: 1, burst: 0 }, 1],
    ['a name that would break the header', { name: 'a"\r\nx: y', quota: 1, windowSeconds: 1 }, 1],
    ['no name', { name: '', quota: 1, windowSeconds: 1 }, 1],
    ['a cost above the burst', { name: 'a', quota: 1, windowSeconds: 1 }, 2],
    ['a negative cost', { name: 'a', quota: 1, windowSeconds: 1 }, -1],
    ['a cost that is no number', { name: 'a', quota: 1, windowSeconds: 1 }, Number.NaN],
  ])('refuses %s', async (_what, limit, cost) => {
    const { limiter } = onClock()
    await expect(async () => limiter.take(limit, 'a', cost)).rejects.toMatchObject({ code: 'invalid_limit' })
  })
})
