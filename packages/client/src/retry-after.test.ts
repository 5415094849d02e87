import { describe, expect, it } from 'vitest'
import { retryAfterSeconds } from './retry-after.ts'

const now = Date.UTC(1994, 10, 6, 8, 49, 37)

describe('Retry-After', () => {
  it.each([
    ['0', 0],
    ['120', 120],
    [' 5 ', 5],
    ['99999999999999999999', 86_400],
    ['Sun, 06 Nov 1994 08:50:37 GMT', 60],
    ['Sun, 06 Nov 1994 08:00:00 GMT', 0],
    ['Fri, 31 Dec 9999 23:59:59 GMT', 86_400],
    ['-1', undefined],
    ['1.5', undefined],
    ['1e3', undefined],
    ['soon', undefined],
    ['2026', 2026],
    ['1994-11-06', undefined],
    ['Sun, 06 Nov 1994 99:99:99 GMT', undefined],
    ['', undefined],
  ])('reads %j as %j', (value, seconds) => {
    expect(retryAfterSeconds(new Headers({ 'retry-after': value }), now)).toBe(seconds)
  })

  it("measures a date from the server's Date where there is one", () => {
    const headers = new Headers({
      'retry-after': 'Sun, 06 Nov 1994 08:50:37 GMT',
      date: 'Sun, 06 Nov 1994 08:50:30 GMT',
    })
    expect(retryAfterSeconds(headers, now)).toBe(7)
  })

  it('says nothing where the header is missing', () => {
    expect(retryAfterSeconds(new Headers(), now)).toBeUndefined()
  })
})
