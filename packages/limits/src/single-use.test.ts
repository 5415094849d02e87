import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createMemorySingleUse } from './memory-single-use.ts'
import { startRedis, type TestRedis, withoutRedis } from './redis.fixture.ts'
import { createRedisSingleUse } from './redis-single-use.ts'
import type { SingleUse } from './single-use.ts'

let redis: TestRedis | undefined
beforeAll(async () => {
  if (!withoutRedis) redis = await startRedis()
})
afterAll(() => redis?.[Symbol.asyncDispose]())

const stores: [string, boolean, () => SingleUse][] = [
  ['in memory', false, () => createMemorySingleUse()],
  ['in Redis', withoutRedis, () => createRedisSingleUse({ client: redis!.client, prefix: `${randomUUID()}:` })],
]

const inAMinute = () => Date.now() / 1_000 + 60

describe.each(stores)('single use %s', (_where, left, create) => {
  it.skipIf(left)('is true once and false after that', async () => {
    const used = create()
    expect(await used.firstUse('a', inAMinute())).toBe(true)
    expect(await used.firstUse('a', inAMinute())).toBe(false)
    expect(await used.firstUse('b', inAMinute())).toBe(true)
    expect(await used.firstUse('a', inAMinute() + 3_600)).toBe(false)
  })

  it.skipIf(left)('is true for one of 100 that arrive at once', async () => {
    const used = create()
    const answers = await Promise.all(Array.from({ length: 100 }, () => used.firstUse('a', inAMinute())))
    expect(answers.filter(Boolean)).toHaveLength(1)
  })

  it.skipIf(left)('is false for what has expired, for it could not be remembered', async () => {
    const used = create()
    for (const expiresAt of [Date.now() / 1_000 - 1, 0, -1, Number.NaN, Number.NEGATIVE_INFINITY]) {
      expect(await used.firstUse('a', expiresAt)).toBe(false)
    }
  })

  it.skipIf(left)('keeps identifiers apart that differ by one character, however long', async () => {
    const used = create()
    const ids = [
      '',
      ' ',
      'a',
      'A',
      'a\0',
      'é',
      'e\u0301',
      'x'.repeat(10_000),
      `${'x'.repeat(10_000)}y`,
      '\ud800',
      '\ud801',
      '__proto__',
    ]
    for (const id of ids) expect(await used.firstUse(id, inAMinute())).toBe(true)
    for (const id of ids) expect(await used.firstUse(id, inAMinute())).toBe(false)
  })

  it.skipIf(left)('remembers what expires in the far future', async () => {
    const used = create()
    expect(await used.firstUse('a', 1e15)).toBe(true)
    expect(await used.firstUse('a', 1e15)).toBe(false)
    expect(await used.firstUse('b', Number.POSITIVE_INFINITY)).toBe(true)
    expect(await used.firstUse('b', Number.POSITIVE_INFINITY)).toBe(false)
  })
})
