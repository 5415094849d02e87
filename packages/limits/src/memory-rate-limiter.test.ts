import { describe, expect, it } from 'vitest'
import { createMemoryRateLimiter } from './memory-rate-limiter.ts'

const limit = { name: 'address', quota: 5, windowSeconds: 60 }

describe('createMemoryRateLimiter', () => {
  it('does not give an exhausted key its quota back because others push it out of memory', () => {
    const limiter = createMemoryRateLimiter({ now: () => 0, maximumKeys: 100 })
    while (limiter.take(limit, 'guesser').allowed);
    for (let index = 0; index < 10_000; index += 1) limiter.take(limit, `flood-${index}`)
    expect(limiter.take(limit, 'guesser').allowed).toBe(false)
  })

  it('forgets idle keys first', () => {
    const limiter = createMemoryRateLimiter({ now: () => 0, maximumKeys: 2 })
    limiter.take(limit, 'old')
    limiter.take(limit, 'used')
    limiter.take(limit, 'old')
    limiter.take(limit, 'new')
    expect(limiter.peek(limit, 'old').remaining).toBe(3)
    expect(limiter.peek(limit, 'used').remaining).toBe(5)
  })

  it('counts on after a refused key passes again', () => {
    let milliseconds = 0
    const limiter = createMemoryRateLimiter({ now: () => milliseconds })
    for (let call = 0; call < 6; call += 1) limiter.take(limit, 'a')
    milliseconds += 12_000
    expect(limiter.take(limit, 'a')).toMatchObject({ allowed: true, remaining: 0 })
    expect(limiter.take(limit, 'a')).toMatchObject({ allowed: false })
  })

  it('goes by a clock of its own that cannot be set back', () => {
    const limiter = createMemoryRateLimiter()
    for (let call = 0; call < 5; call += 1) expect(limiter.take(limit, 'a').allowed).toBe(true)
    expect(limiter.take(limit, 'a').allowed).toBe(false)
  })
})
