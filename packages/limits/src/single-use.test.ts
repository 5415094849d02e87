import { randomUUID } from 'node:crypto'
import fc from 'fast-check'
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

  it.skipIf(left)('knows a redelivery by its place, and a replay by another', async () => {
    const used = create()
    const at = (place: string) => used.use('a', inAMinute(), { issuedAt: later(), place })
    expect(await at('orders/0/17')).toBe('first')
    expect(await at('orders/0/17')).toBe('again')
    for (const place of ['orders/0/18', 'orders/1/17', 'refunds/0/17', 'orders/0/1', '', '1']) {
      expect(await at(place)).toBe('used')
    }
    expect(await at('orders/0/17')).toBe('again')
  })

  it.skipIf(left)('takes a use without a place for a use elsewhere, whichever came first', async () => {
    const used = create()
    expect(await used.use('a', inAMinute(), { issuedAt: later() })).toBe('first')
    expect(await used.use('a', inAMinute(), { issuedAt: later() })).toBe('used')
    expect(await used.use('a', inAMinute(), { issuedAt: later(), place: '1' })).toBe('used')
    expect(await used.use('b', inAMinute(), { issuedAt: later(), place: '1' })).toBe('first')
    expect(await used.use('b', inAMinute(), { issuedAt: later() })).toBe('used')
    expect(await used.firstUse('b', inAMinute())).toBe(false)
    expect(await used.firstUse('c', inAMinute())).toBe(true)
    expect(await used.use('c', inAMinute(), { issuedAt: later() })).toBe('used')
  })

  it.skipIf(left)('gives one of 100 places that arrive at once to the first', async () => {
    const used = create()
    const outcomes = await Promise.all(
      Array.from({ length: 100 }, (_, index) =>
        used.use('a', inAMinute(), { issuedAt: later(), place: `orders/0/${index % 50}` }),
      ),
    )
    expect(count(outcomes)).toEqual({ first: 1, again: 1, used: 98 })
  })

  it.skipIf(left)('cannot know what was issued before it began', async () => {
    const used = create()
    const before = Date.now() / 1_000 - 0.5
    expect(await used.use('a', inAMinute(), { issuedAt: before })).toBe('unknowable')
    expect(await used.use('a', inAMinute(), { issuedAt: before, place: 'orders/0/17' })).toBe('unknowable')
    expect(await used.use('a', inAMinute(), { issuedAt: Number.NaN })).toBe('unknowable')
    expect(await used.use('a', inAMinute(), { issuedAt: Number.POSITIVE_INFINITY })).toBe('unknowable')
    expect(await used.use('a', inAMinute(), { issuedAt: later() })).toBe('first')
  })

  it.skipIf(left)('says that it would not remember what has expired', async () => {
    const used = create()
    for (const expiresAt of [Date.now() / 1_000 - 1, 0, -1, Number.NaN]) {
      expect(await used.use('a', expiresAt, { issuedAt: later() })).toBe('unknowable')
    }
  })

  it.skipIf(left)('keeps places apart that differ by one character, however long', async () => {
    const used = create()
    const places = ['', '=', '#', 'x'.repeat(10_000), `${'x'.repeat(10_000)}y`, 'é', 'e\u0301', '\ud800', '__proto__']
    for (const [index, place] of places.entries()) {
      expect(await used.use(`${index}`, inAMinute(), { issuedAt: later(), place })).toBe('first')
      for (const other of places) {
        const expected = other === place ? 'again' : 'used'
        expect(await used.use(`${index}`, inAMinute(), { issuedAt: later(), place: other })).toBe(expected)
      }
    }
  })

  it.skipIf(left)('remembers a redelivered one for as long as its last delivery asks', async () => {
    const used = create()
    const place = 'orders/0/17'
    const soon = Date.now() / 1_000 + 2
    expect(await used.use('a', soon, { issuedAt: later(), place })).toBe('first')
    expect(await used.use('a', inAMinute(), { issuedAt: later(), place })).toBe('again')
    await new Promise((resolve) => setTimeout(resolve, 2_100))
    expect(await used.use('a', inAMinute(), { issuedAt: later(), place: 'orders/0/18' })).toBe('used')
  })

  it.skipIf(left)('agrees with a model of it, whatever comes in whatever order', async () => {
    const used = create()
    const run = randomUUID()
    const step = fc.record({ id: fc.constantFrom('a', 'b'), place: fc.constantFrom(undefined, '0', '1') })
    const runs = fc.asyncProperty(fc.uuid(), fc.array(step, { maxLength: 12 }), async (round, steps) => {
      const model = new Map<string, string | undefined>()
      for (const { id, place } of steps) {
        const known = model.has(id)
        const expected = !known ? 'first' : place !== undefined && model.get(id) === place ? 'again' : 'used'
        if (!known) model.set(id, place)
        const use = { issuedAt: later(), ...(place !== undefined && { place }) }
        expect(await used.use(`${run} ${round} ${id}`, inAMinute(), use)).toBe(expected)
      }
    })
    await fc.assert(runs, { numRuns: 50 })
  })
})

/** A token that is signed while the memory exists, whatever the two clocks' granularity. */
const later = () => Date.now() / 1_000 + 1

function count(outcomes: readonly string[]): Record<string, number> {
  return Object.fromEntries(
    [...new Set(outcomes)].map((outcome) => [outcome, outcomes.filter((other) => other === outcome).length]),
  )
}
