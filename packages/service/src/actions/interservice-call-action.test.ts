import { parseJwt } from '@countersign/tokens'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { type AnyJson, createWorld, type World } from '../world.fixture.ts'
import { type Outside, startOutside } from './outside.fixture.ts'

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

const claimsOf = (token: unknown) => parseJwt(String(token)).claims as AnyJson

describe('an InterserviceCallAction', () => {
  let calls: AnyJson[]
  const action = (name: string, targetApi: string, parameters: string[], more: object = {}) => ({
    name,
    targetService: 'inventory',
    targetApi,
    apiParameters: parameters.map((each) => ({ name: each, value: `this.${each}` })),
    ...more,
  })
  const m2m = { loginRequired: false, M2MAllowed: true }
  const inventoryApis = [
    {
      name: 'decreaseStock',
      authOptions: m2m,
      restSettings: { path: '/v1/stock/:productId/decrease', method: 'POST' },
    },
    { name: 'findStock', authOptions: m2m, restSettings: { path: '/v1/stock', method: 'GET' } },
    { name: 'dropStock', authOptions: m2m, restSettings: { path: '/v1/stock/{productId}', method: 'DELETE' } },
    { name: 'fails', authOptions: m2m },
  ]

  beforeAll(async () => {
    const handler =
      (name: string) =>
      (input: AnyJson, { m2mPayload, tenant }: AnyJson) => {
        calls.push({ name, input, sender: m2mPayload.sender, tenant })
        if (name === 'fails') throw new Error('hunter2')
        return { left: 3 }
      }
    const handlers = Object.fromEntries(inventoryApis.map(({ name }) => [name, handler(name)]))
    await world.start('inventory', { businessApis: inventoryApis }, { handlers })
  })
  beforeEach(() => {
    calls = []
  })

  const order = () =>
    world.create('order', {
      actions: {
        interserviceCallActions: [
          action('updateInventory', 'decreaseStock', ['productId', 'quantity', 'note']),
          action('findInventory', 'findStock', ['sku', 'limit', 'filter']),
          action('dropInventory', 'dropStock', ['productId', 'reason']),
          action('callFails', 'fails', []),
          action('callUnknown', 'renamed', []),
        ],
      },
    })

  it('calls the API by its name: path parameters, then the JSON body', async () => {
    const { actions } = await order()
    expect(await actions.updateInventory!({ productId: 'a/b ?', quantity: 2, tenant: 'acme' })).toEqual({ left: 3 })
    expect(calls).toEqual([
      { name: 'decreaseStock', input: { productId: 'a/b ?', quantity: 2 }, sender: 'order-service', tenant: 'acme' },
    ])
  })

  it('puts parameters into the query for GET and DELETE', async () => {
    const { actions } = await order()
    await actions.findInventory!({ sku: 'a&b=c', limit: 5, filter: { colour: 'red' } })
    await actions.dropInventory!({ productId: '7', reason: 'sold' })
    expect(calls.map(({ input }) => input)).toEqual([
      { sku: 'a&b=c', limit: '5', filter: '{"colour":"red"}' },
      { productId: '7', reason: 'sold' },
    ])
  })

  it.each(['', '.', '..', undefined])(
    'does not call another path than the one that was meant (%j)',
    async (productId) => {
      const { actions } = await order()
      await expect(actions.updateInventory!({ productId, quantity: 1 })).rejects.toMatchObject({ code: 'bad_value' })
      expect(calls).toEqual([])
    },
  )

  it('says that an API is not there', async () => {
    const { actions } = await order()
    await expect(actions.callUnknown!()).rejects.toThrow('action "callUnknown": inventory has no API called "renamed"')
  })

  it('says what the other service refused', async () => {
    const { actions } = await order()
    await expect(actions.callFails!()).rejects.toThrow(/inventory|answered 500 \(operation_failed\)/)
    const blocked = await world.create('stranger', {
      actions: { interserviceCallActions: [action('find', 'findStock', [])] },
    })
    await world.start(
      'guarded',
      {
        businessApis: inventoryApis.slice(1, 2),
        serviceSettings: { serviceOptions: { allowedM2MClients: ['order'] } },
      },
      { handlers: { findStock: () => 1 } },
    )
    const toGuarded = await world.create('stranger', {
      actions: { interserviceCallActions: [{ ...action('find', 'findStock', []), targetService: 'guarded' }] },
    })
    expect(await blocked.actions.find!()).toEqual({ left: 3 })
    await expect(toGuarded.actions.find!()).rejects.toThrow(/answered 403 \(InvalidM2MToken/)
  })

  it('asks for the description once, and again when an API is not where it was', async () => {
    let asked = 0
    outside.answer = ({ url }) => {
      if (url !== '/.well-known/service.json') return { status: asked === 1 ? 404 : 200, body: '{"ok":1}' }
      asked += 1
      const apis = { findStock: { method: 'GET', path: `/v${asked}/stock` } }
      return { status: 200, body: JSON.stringify({ name: 'moved-service', apis }) }
    }
    const moved = { ...action('find', 'findStock', []), targetService: 'moved' }
    const service = await world.create(
      'order',
      { actions: { interserviceCallActions: [moved] } },
      { services: { moved: outside.origin } },
    )
    await expect(service.actions.find!()).rejects.toMatchObject({ status: 404 })
    await expect.poll(() => asked).toBe(2)
    expect(await service.actions.find!()).toEqual({ ok: 1 })
    expect(await service.actions.find!()).toEqual({ ok: 1 })
    expect(asked).toBe(2)
    const last = outside.got.at(-1)!
    expect(last.url).toBe('/v2/stock')
    expect(claimsOf(last.headers['x-m2m-token'])).toMatchObject({ aud: 'moved-service', req: { target: '/v2/stock' } })
  })

  it.each([
    ['another host', { findStock: { method: 'GET', path: '//evil.example/x' } }],
    ['a backslash', { findStock: { method: 'GET', path: '/\\evil.example' } }],
    ['a method of its own', { findStock: { method: 'CONNECT', path: '/' } }],
  ])('is led nowhere by a description with %s', async (_what, apis) => {
    outside.answer = () => ({ status: 200, body: JSON.stringify({ name: 'moved-service', apis }) })
    const moved = { ...action('find', 'findStock', []), targetService: 'moved' }
    const service = await world.create(
      'order',
      { actions: { interserviceCallActions: [moved] } },
      { services: { moved: outside.origin } },
    )
    await expect(service.actions.find!()).rejects.toMatchObject({ code: 'unreachable' })
    expect(outside.got.map(({ url }) => url)).toEqual(['/.well-known/service.json'])
  })

  it.each([
    ['/../payments/v1/refund', {}],
    ['/%2e%2E/payments/v1/refund', {}],
    ['/v1/./../../payments/v1/refund', {}],
    ['/%2{a}%2{b}/payments/v1/refund', { a: 'e', b: 'e' }],
    ['/..\u0001', {}],
  ])('signs nothing for the neighbour of a service whose description leads there (%j)', async (path, context) => {
    const apis = { findStock: { method: 'GET', path } }
    outside.answer = () => ({ status: 200, body: JSON.stringify({ name: 'inventory-service', apis }) })
    const service = await world.create(
      'order',
      { actions: { interserviceCallActions: [action('find', 'findStock', ['a', 'b'])] } },
      { services: {}, environment: { SERVICE_URL: `${outside.origin}/$service` } },
    )
    await expect(service.actions.find!(context)).rejects.toMatchObject({ name: 'ActionError' })
    expect(outside.got.map(({ url }) => url)).toEqual(['/inventory/.well-known/service.json'])
  })

  it('is addressed by SERVICE_URL, with a prefix that a proxy takes off', async () => {
    outside.answer = ({ url }) =>
      url === '/inventory/.well-known/service.json'
        ? {
            status: 200,
            body: JSON.stringify({
              name: 'inventory-service',
              apis: { findStock: { method: 'GET', path: '/v1/stock' } },
            }),
          }
        : { status: 200, body: '{}' }
    const service = await world.create(
      'order',
      { actions: { interserviceCallActions: [action('find', 'findStock', ['sku'])] } },
      { services: {}, environment: { SERVICE_URL: `${outside.origin}/$service` } },
    )
    await service.actions.find!({ sku: '1' })
    const last = outside.got.at(-1)!
    expect(last.url).toBe('/inventory/v1/stock?sku=1')
    expect(claimsOf(last.headers['x-m2m-token'])).toMatchObject({ aud: 'inventory-service', req: { target: last.url } })
  })
})
