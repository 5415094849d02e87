import { describe, expect, it } from 'vitest'
import { formatDuration, roughDuration, secondsOf } from './duration.ts'
import { parseInstant } from './instant.ts'

describe('durations', () => {
  it.each(['', '0', '0s', 'h', '1y', '-1h', '1.5h', '1 h', 'forever', '1h x', 'x1h', '9999999999999d'])(
    'refuses %j',
    (text) => {
      expect(() => secondsOf(text, 'x')).toThrow(/30m, 1h or 90d/)
    },
  )

  it('writes what it reads', () => {
    for (const seconds of [1, 59, 60, 3600, 5400, 86_400, 90_061])
      expect(secondsOf(formatDuration(seconds), 'x')).toBe(seconds)
    expect(roughDuration(90_061)).toBe('1d1h')
  })
})

describe('instants', () => {
  it('reads a time, a day, how long ago, and how long from now', () => {
    expect(parseInstant('2026-03-01T12:00:00+02:00', 'x')).toBe('2026-03-01T10:00:00.000Z')
    expect(parseInstant('2026-03-01', 'x')).toBe('2026-03-01T00:00:00.000Z')
    expect(parseInstant('1h', 'x', 'past', Date.UTC(2026, 0, 1, 1))).toBe('2026-01-01T00:00:00.000Z')
    expect(parseInstant('1h', 'x', 'future', Date.UTC(2026, 0, 1, 1))).toBe('2026-01-01T02:00:00.000Z')
  })

  it.each(['yesterday', '2026-13-01', '2026-03-01T12:00', '12:00', ''])('refuses %j', (text) => {
    expect(() => parseInstant(text, 'x')).toThrow('is not a time')
  })
})
