import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { type Outside, startOutside } from '../actions/outside.fixture.ts'
import { type AnyJson, createWorld, type StartedService, type World } from '../world.fixture.ts'

let world: World
let outside: Outside
beforeAll(async () => {
  world = await createWorld()
  outside = await startOutside()
})
afterAll(async () => {
  await world[Symbol.asyncDispose]()
  outside.close()
})
beforeEach(() => {
  outside.got.length = 0
  outside.answer = () => ({ status: 200, body: '{"ok":true}' })
})

const anybody = { loginRequired: false, M2MAllowed: false }

describe('the actions of a business API', () => {
  const start = (name: string, handler: AnyJson, more: object = {}) =>
    world.start(
      name,
      {
        businessApis: [{ name: 'createOrder', authOptions: anybody, actions: ['first', 'second'] }],
        actions: {
          apiCallActions: ['first', 'second'].map((each) => ({
            name: each,
            apiCallRequest: {
              method: 'POST',
              url: `${outside.origin}/${each}`,
              body: '{ id: this.orderId, total: this.total, input: this.input.total, who: this.caller, tenant: this.tenant }',
            },
          })),
        },
        ...more,
      },
      { handlers: { createOrder: handler } },
    )
  const create = async (at: StartedService, body: object) => {
    const headers = { 'content-type': 'application/json' }
    const response = await fetch(`${at.url}/createOrder`, { method: 'POST', headers, body: JSON.stringify(body) })
    return { status: response.status, body: (await response.json()) as AnyJson }
  }

  it('run after the handler, in order, over input and result', async () => {
    const service = await start('orders', ({ total }: AnyJson) => {
      outside.got.push({ method: 'HANDLER', url: '', headers: {}, body: '' })
      return { orderId: 'o-1', total: total * 2 }
    })
    const spoof = { caller: 'admin', tenant: 'evil', input: 'x' }
    expect(await create(service, { total: 5, ...spoof })).toEqual({ status: 200, body: { orderId: 'o-1', total: 10 } })
    expect(outside.got.map(({ method, url }) => `${method} ${url}`)).toEqual([
      'HANDLER ',
      'POST /first',
      'POST /second',
    ])
    expect(JSON.parse(outside.got[1]!.body)).toEqual({ id: 'o-1', total: 10, input: 5 })
  })

  it('fail the call when one fails, and those after it are not run', async () => {
    const service = await start('orders2', () => ({ orderId: 'o-1', total: 1 }))
    outside.answer = ({ url }) => ({ status: url === '/first' ? 500 : 200, body: '{"code":"hunter2"}' })
    const { status, body } = await create(service, { total: 5 })
    expect({ status, body }).toMatchObject({
      status: 502,
      body: {
        code: 'action_failed',
        action: 'first',
        title: 'Bad Gateway',
        detail: expect.stringContaining('action "first" failed'),
      },
    })
    expect(JSON.stringify(body)).not.toContain('hunter2')
    expect(outside.got.map(({ url }) => url)).toEqual(['/first'])
    expect(world.log.lines.some((line) => line.includes(body.incident) && line.includes('answered 500'))).toBe(true)
  })

  it('are not run when the handler fails, or the input is not valid', async () => {
    const service = await start('orders3', () => {
      throw new Error('no')
    })
    expect((await create(service, {})).status).toBe(500)
    expect((await create(service, [1])).status).toBe(422)
    expect(outside.got).toEqual([])
  })

  it('can be called by handlers, for the tenant of the call', async () => {
    const m2m = { loginRequired: false, M2MAllowed: true }
    const seen: AnyJson[] = []
    await world.start(
      'stock',
      { businessApis: [{ name: 'take', authOptions: m2m }] },
      { handlers: { take: (_input, { tenant }) => void seen.push(tenant) } },
    )
    const shop = await world.start(
      'tenants',
      {
        serviceSettings: { serviceOptions: { multiTenant: true } },
        businessApis: [{ name: 'buy', authOptions: m2m }],
        actions: { interserviceCallActions: [{ name: 'take', targetService: 'stock', targetApi: 'take' }] },
      },
      { handlers: { buy: async (_input, { actions }) => void (await actions.take!({ tenant: 'evil' })) } },
    )
    await world.fetchAs('web', { tenant: 'acme' })(`${shop.url}/buy`, { method: 'POST' })
    expect(seen).toEqual(['acme'])
  })
})
