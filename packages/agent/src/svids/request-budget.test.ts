import { expect, it } from 'vitest'
import { RequestBudget } from './request-budget.ts'

it('is fifty in ten seconds for one entry, and two hundred for all, whatever the clock does', () => {
  let now = 1_000_000
  const budget = new RequestBudget({ now: () => now, after: () => () => {} })
  const taken = (entry: string) => Array.from({ length: 60 }, () => budget.take(entry)).filter(Boolean).length
  expect(['a', 'a', 'b', 'c', 'd', 'e'].map(taken)).toEqual([50, 0, 50, 50, 50, 0])
  now += 9_999
  expect(taken('e')).toBe(0)
  now += 1
  expect(taken('e')).toBe(50)
  now -= 3_600_000
  expect(taken('e')).toBe(50)
})
