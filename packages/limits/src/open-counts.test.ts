import { expect, it } from 'vitest'
import { OpenCounts } from './open-counts.ts'

it('lets nobody take the last half from all others, and counts what ended no more', () => {
  const open = new OpenCounts<number>({ one: 2, all: 4 })
  const releases = [open.take(1), open.take(1)]
  expect(open.take(1)).toBeUndefined()
  const other = [open.take(2), open.take(3)]
  expect(open.take(4)).toBeUndefined()
  releases[0]?.()
  expect(open.take(1)).toBeDefined()
  other[0]?.()
  expect(open.take(1)).toBeUndefined()
  expect(open.take(2)).toBeDefined()
})

it('takes off what ends twice only once', () => {
  const open = new OpenCounts({ one: 2 })
  const [first] = [open.take('a'), open.take('a')]
  first?.()
  first?.()
  expect([open.take('a'), open.take('a')].map((taken) => taken !== undefined)).toEqual([true, false])
})
