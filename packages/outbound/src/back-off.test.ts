import { describe, expect, it } from 'vitest'
import { BackOff } from './back-off.ts'

describe('waiting before the next try', () => {
  it('doubles up to a limit and starts anew after a success', () => {
    const backOff = new BackOff({ firstMilliseconds: 100, longestMilliseconds: 1000, random: () => 1 })
    expect(Array.from({ length: 6 }, () => backOff.failed())).toEqual([100, 200, 400, 800, 1000, 1000])
    backOff.succeeded()
    expect(backOff.failed()).toBe(100)
  })

  it('is spread, so that many who lost the same agent do not come back at once', () => {
    const waits = [0, 0.5, 1].map((value) => new BackOff({ firstMilliseconds: 100, random: () => value }).failed())
    expect(waits).toEqual([50, 75, 100])
  })
})
