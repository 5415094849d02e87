import { describe, expect, it } from 'vitest'
import { createMemorySingleUse } from './memory-single-use.ts'

function onClock(maximumEntries = 100) {
  const clock = { seconds: 1_790_000_000, steadySeconds: 5 }
  const now = () => clock.seconds * 1_000
  const monotonicNow = () => clock.steadySeconds * 1_000
  const pass = (seconds: number) => {
    clock.seconds += seconds
    clock.steadySeconds += seconds
  }
  return { clock, pass, used: createMemorySingleUse({ now, monotonicNow, maximumEntries }) }
}

describe('createMemorySingleUse', () => {
  it('is not made to forget a used identifier by a flood of others: it refuses those', () => {
    const { used, clock } = onClock()
    const expiresAt = clock.seconds + 60
    expect(used.firstUse('victim', expiresAt)).toBe(true)
    let refused = 0
    for (let index = 0; index < 1_000; index += 1) {
      try {
        used.firstUse(`flood-${index}`, expiresAt)
      } catch (error) {
        expect(error).toMatchObject({ name: 'LimitsError', code: 'capacity' })
        refused += 1
      }
    }
    expect(refused).toBe(901)
    expect(used.firstUse('victim', expiresAt)).toBe(false)
  })

  it('has room again once identifiers have expired', () => {
    const { used, clock, pass } = onClock(2)
    used.firstUse('a', clock.seconds + 10)
    used.firstUse('b', clock.seconds + 100)
    expect(() => used.firstUse('c', clock.seconds + 10)).toThrow()
    pass(11)
    expect(used.firstUse('c', clock.seconds + 10)).toBe(true)
    expect(used.firstUse('b', clock.seconds + 10)).toBe(false)
  })

  it('stays fast when it is full and flooded', () => {
    const { used, clock } = onClock(100_000)
    for (let index = 0; index < 100_000; index += 1) used.firstUse(String(index), clock.seconds + 60)
    const before = process.cpuUsage()
    for (let index = 0; index < 50_000; index += 1)
      expectCapacity(() => used.firstUse(`more-${index}`, clock.seconds + 60))
    expect(process.cpuUsage(before).user).toBeLessThan(3_000_000)
  })

  it('says since when it remembers', () => {
    const { used, clock } = onClock()
    expect(used.startedAt).toBe(clock.seconds)
  })

  it('refuses what was signed before it began, to the millisecond, so that a restart forgets nothing', () => {
    const { used, clock, pass } = onClock()
    const expiresAt = clock.seconds + 70
    pass(5)
    expect(used.use('before', expiresAt, { issuedAt: used.startedAt - 0.001 })).toBe('unknowable')
    expect(used.use('after', expiresAt, { issuedAt: used.startedAt + 0.001 })).toBe('first')
    expect(used.use('after', expiresAt, { issuedAt: used.startedAt - 0.001 })).toBe('used')
  })

  it('refuses new uses, redeliveries never, when it is full', () => {
    const { used, clock } = onClock(2)
    const use = { issuedAt: clock.seconds, place: 'orders/0/17' }
    used.use('a', clock.seconds + 60, use)
    used.use('b', clock.seconds + 60, use)
    expect(() => used.use('c', clock.seconds + 60, use)).toThrow(expect.objectContaining({ code: 'capacity' }))
    expect(used.use('a', clock.seconds + 60, use)).toBe('again')
  })

  it('still knows what was used after the clock leapt ahead and came back', () => {
    const { used, clock, pass } = onClock()
    const expiresAt = clock.seconds + 60
    used.firstUse('a', expiresAt)
    clock.seconds += 3_600
    pass(2)
    used.firstUse('b', clock.seconds + 60)
    clock.seconds -= 3_600
    expect(used.firstUse('a', expiresAt)).toBe(false)
  })

  it('still knows what was used when the clock is set back before it expires', () => {
    const { used, clock, pass } = onClock()
    const expiresAt = clock.seconds + 60
    used.firstUse('a', expiresAt)
    clock.seconds -= 3_600
    pass(100)
    used.firstUse('b', clock.seconds + 60)
    expect(used.firstUse('a', expiresAt)).toBe(false)
  })

  it('forgets what has expired, so that memory does not grow for ever', () => {
    const { used, clock, pass } = onClock(10)
    for (let index = 0; index < 1_000; index += 1) {
      expect(used.firstUse(String(index), clock.seconds + 5)).toBe(true)
      pass(1)
    }
  })
})

function expectCapacity(use: () => unknown): void {
  try {
    use()
  } catch {
    return
  }
  throw new Error('there was room')
}
