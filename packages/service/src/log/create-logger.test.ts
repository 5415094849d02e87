import { afterAll, beforeAll, expect, it } from 'vitest'
import { createWorld, type World } from '../world.fixture.ts'
import { createLogger } from './create-logger.ts'
import { describeError } from './describe-error.ts'

let world: World
beforeAll(async () => {
  world = await createWorld()
})
afterAll(() => world[Symbol.asyncDispose]())

it('writes no token to its log, wherever it turned up', () => {
  const lines: string[] = []
  const log = createLogger('order', 'debug', (line) => lines.push(line))
  const token = world.signer('order').signMd5('0'.repeat(32))
  log.info({ headers: { 'x-m2m-token': token }, deep: [{ token }] }, `got ${token}`)
  log.error({ err: new Error(`bad ${token.slice(0, 60)}`) }, 'failed')
  expect(lines).toHaveLength(2)
  expect(lines.join('')).not.toContain('eyJ')
  expect(lines.join('')).toContain('[token]')
})

it('says of an error what it is and what caused it, however it is given', () => {
  const lines: string[] = []
  const log = createLogger('order', 'debug', (line) => lines.push(line))
  const cause = Object.assign(new AggregateError([new TypeError('no broker')], 'failed 4 times'), { code: 'PLT_KFK' })
  const error = new RangeError('nothing was published', { cause })
  log.error({ err: error }, 'failed')
  log.error({ err: describeError(error) }, 'failed')
  for (const line of lines) {
    expect(JSON.parse(line).err).toMatchObject({
      type: 'RangeError',
      message: 'nothing was published',
      cause: { type: 'AggregateError', code: 'PLT_KFK', cause: { type: 'TypeError', message: 'no broker' } },
    })
  }
})
