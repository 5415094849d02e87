import { describe, expect, it } from 'vitest'
import type { LimitDecision } from './rate-limit.ts'
import { rateLimitHeaders } from './rate-limit-headers.ts'

const passed: LimitDecision = {
  allowed: true,
  limit: { name: 'client', quota: 100, windowSeconds: 60 },
  remaining: 12,
  resetSeconds: 3,
  retryAfterSeconds: 0,
}
const refused: LimitDecision = {
  allowed: false,
  limit: { name: 'address', quota: 10, windowSeconds: 1 },
  remaining: 0,
  resetSeconds: 9,
  retryAfterSeconds: 4,
}

describe('rateLimitHeaders', () => {
  it('publishes policy and remainder as structured lists', () => {
    expect(rateLimitHeaders([passed])).toEqual({
      'RateLimit-Policy': '"client";q=100;w=60',
      RateLimit: '"client";r=12;t=3',
    })
  })

  it('publishes several policies, and when the one that refused lets pass again', () => {
    expect(rateLimitHeaders([passed, refused])).toEqual({
      'RateLimit-Policy': '"client";q=100;w=60, "address";q=10;w=1',
      RateLimit: '"client";r=12;t=3, "address";r=0;t=9',
      'Retry-After': '4',
    })
  })

  it('asks for the longest wait, and for one second at least', () => {
    expect(rateLimitHeaders([refused, { ...refused, retryAfterSeconds: 7 }])['Retry-After']).toBe('7')
    expect(rateLimitHeaders([{ ...refused, retryAfterSeconds: 0 }])['Retry-After']).toBe('1')
  })

  it('publishes nothing when nothing was decided', () => {
    expect(rateLimitHeaders([])).toEqual({})
  })
})
