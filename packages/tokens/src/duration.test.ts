import { expect, it } from 'vitest'
import { parseDuration } from './duration.ts'

it.each([
  ['45s', 45],
  ['30m', 1800],
  ['1h', 3600],
  ['90d', 7_776_000],
  ['2w', 1_209_600],
  ['1h30m', 5400],
  ['90', 90],
  ['0', 0],
])('reads %s as %d seconds', (text, seconds) => {
  expect(parseDuration(text)).toBe(seconds)
})

it.each([
  '',
  'h',
  '1y',
  '-1h',
  '1.5h',
  '1 h',
  ' 1h',
  '1h30',
  'forever',
  '1h x',
  'x1h',
  '9999999999999d',
  '999999999999w',
])('does not take %j for a duration', (text) => {
  expect(parseDuration(text)).toBeUndefined()
})
