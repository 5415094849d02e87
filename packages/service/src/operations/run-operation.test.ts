import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type AnyJson, createWorld, logLines, type World } from '../world.fixture.ts'

const open = { loginRequired: false, M2MAllowed: false }
const api = (name: string, authOptions: object) => ({ businessApis: [{ name, authOptions }] })

let world: World
beforeAll(async () => {
  world = await createWorld()
})
afterAll(() => world[Symbol.asyncDispose]())

describe('what handlers throw', () => {
  it('is logged, and not shown', async () => {
    const logger = logLines()
    const handlers = {
      any: () => {
        throw new Error('hunter2: connection to postgres://db.internal refused', {
          cause: new Error('the deeper reason'),
        })
      },
    }
    const service = await world.start('throwing', api('any', open), { handlers, logger })
    const response = await fetch(`${service.url}/any`, { method: 'POST' })
    const body = (await response.json()) as AnyJson
    expect({ status: response.status, body }).toMatchObject({ status: 500, body: { code: 'operation_failed' } })
    expect(JSON.stringify(body)).not.toMatch(/hunter2|postgres|db\.internal/)
    const line = logger.lines.find((each) => each.includes(body.incident))!
    expect(line).toContain('db.internal')
    expect(line).toContain('the deeper reason')
  })

  it.each([['text'], [undefined], [{ status: 200 }], [null]])('may be anything (%o)', async (thrown) => {
    const handlers = {
      any: () => {
        throw thrown
      },
    }
    const service = await world.start(`odd-${crypto.randomUUID().slice(0, 8)}`, api('any', open), { handlers })
    expect((await fetch(`${service.url}/any`, { method: 'POST' })).status).toBe(500)
  })

  it('is answered too when it gives what is no JSON', async () => {
    const circular: AnyJson = {}
    circular.self = circular
    const handlers = { any: () => circular }
    const service = await world.start('circular', api('any', open), { handlers })
    expect((await fetch(`${service.url}/any`, { method: 'POST' })).status).toBe(500)
    const bytes = await world.start('bigint', api('any', open), { handlers: { any: () => ({ n: 1n }) } })
    expect((await fetch(`${bytes.url}/any`, { method: 'POST' })).status).toBe(500)
  })
})

it('tells a handler when whoever called has gone', async () => {
  const entered = Promise.withResolvers<void>()
  const gone = Promise.withResolvers<boolean>()
  const handlers = {
    any: (_input: object, { signal }: { signal: AbortSignal }) => {
      signal.addEventListener('abort', () => gone.resolve(signal.aborted))
      entered.resolve()
      return gone.promise
    },
  }
  const service = await world.start('leaving', api('any', open), { handlers })
  const caller = new AbortController()
  const call = fetch(`${service.url}/any`, { method: 'POST', signal: caller.signal }).catch(() => {})
  await entered.promise
  caller.abort()
  expect(await gone.promise).toBe(true)
  await call
})
