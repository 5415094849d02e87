import { expect, it } from 'vitest'
import { errorChain } from './error-chain.ts'

it('gives an error and all that it was made from, the outermost first', () => {
  const cause = new Error('the connection was closed')
  const broker = new Error('broker 1', { cause })
  const all = new AggregateError([broker, 'no error at all'], 'every broker failed')
  expect(errorChain(all)).toEqual([all, broker, cause])
  expect(errorChain('no error at all')).toEqual([])
})

it('ends where an error was made from itself', () => {
  const error = new Error('round')
  error.cause = error
  expect(errorChain(error).length).toBeLessThan(10)
})
