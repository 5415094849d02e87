import { createServer, type IncomingMessage } from 'node:http'
import { parseJwt } from '@countersign/tokens'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { type AnyJson, createWorld, listen, type StartedService, type World } from '../world.fixture.ts'

/** Somebody else's HTTP server: remembers what it got. */
interface Outside {
  readonly origin: string
  readonly got: { method: string; url: string; headers: IncomingMessage['headers']; body: string }[]
  answer: (request: IncomingMessage) => { status: number; headers?: Record<string, string>; body?: string }
  close(): void
}

async function startOutside(): Promise<Outside> {
  const server = createServer(async (request, response) => {
    const chunks: Buffer[] = []
    for await (const chunk of request) chunks.push(chunk)
    const { method = '', url = '', headers } = request
    self.got.push({ method, url, headers, body: Buffer.concat(chunks).toString() })
    const { status, headers: given, body } = self.answer(request)
    response.writeHead(status, { 'content-type': 'application/json', ...given }).end(body)
  })
  const port = await listen(server)
  const answer = () => ({ status: 200, body: '{"ok":true}' })
  const self: Outside = {
    origin: `http://127.0.0.1:${port}`,
    got: [],
    answer,
    close: () => void server.close().closeAllConnections(),
  }
  return self
}

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
const claimsOf = (token: unknown) => parseJwt(String(token)).claims as AnyJson

describe('an ApiCallAction', () => {
  const apiCall = (apiCallRequest: object) => ({ actions: { apiCallActions: [{ name: 'callOut', apiCallRequest }] } })
  const create = (apiCallRequest: object, environment: Record<string, string> = {}) =>
    world.create('order', apiCall(apiCallRequest), { environment })

  it('sends method, url, params, headers and body, with a token for the origin', async () => {
    const service = await create({
      method: 'POST',
      url: `${outside.origin}/v1/endpoint`,
      // biome-ignore lint/suspicious/noTemplateCurlyInString: an expression of the document.
      params: { id: '${this.id}', tag: ['a', 'b'] },
      // biome-ignore lint/suspicious/noTemplateCurlyInString: an expression of the document.
      headers: { 'x-trace': '${this.trace}' },
      body: '{ data: this.someData }',
    })
    const result = await service.actions.callOut!({ id: 'a b', trace: 't1', someData: { n: [1] }, tenant: 'acme' })
    expect(result).toEqual({ ok: true })
    const [call] = outside.got
    expect(call).toMatchObject({
      method: 'POST',
      body: '{"data":{"n":[1]}}',
      headers: { 'x-trace': 't1', 'content-type': 'application/json' },
    })
    expect(new URL(call!.url, outside.origin).searchParams.getAll('tag')).toEqual(['a', 'b'])
    const { aud, sender, req, tenant } = claimsOf(call!.headers['x-m2m-token'])
    expect({ aud, sender, req }).toMatchObject({
      aud: outside.origin,
      sender: 'order-service',
      req: { method: 'POST', target: call!.url },
    })
    expect(tenant, "a tenant is nobody else's business").toBeUndefined()
  })

  it('keeps what is filled into the URL within its place', async () => {
    const service = await create({ method: 'GET', url: `${outside.origin}/users/\${this.id}/x` })
    await service.actions.callOut!({ id: '../../admin?all=1#' })
    expect(outside.got[0]!.url).toBe('/users/..%2F..%2Fadmin%3Fall%3D1%23/x')
  })

  it('follows no redirect, with the token or without', async () => {
    outside.answer = () => ({ status: 307, headers: { location: `${outside.origin}/stolen` } })
    for (const environment of [{}, { UNSIGNED_ORIGINS: outside.origin }] as Record<string, string>[]) {
      const service = await create({ method: 'POST', url: `${outside.origin}/start`, body: '{}' }, environment)
      await expect(service.actions.callOut!({})).rejects.toMatchObject({ name: 'ActionError', action: 'callOut' })
    }
    expect(outside.got.map(({ url }) => url)).toEqual(['/start', '/start'])
  })

  it('sends no token to the origins that shall have none', async () => {
    const service = await create({ method: 'GET', url: `${outside.origin}/a` }, { UNSIGNED_ORIGINS: outside.origin })
    await service.actions.callOut!()
    expect(outside.got[0]!.headers).not.toHaveProperty('x-m2m-token')
  })

  it('does not let the context choose whom the service calls in its own name', async () => {
    // biome-ignore lint/suspicious/noTemplateCurlyInString: an expression of the document.
    const request = { method: 'GET', url: '${this.callback}' }
    const shut = await create(request)
    await expect(shut.actions.callOut!({ callback: `${outside.origin}/x` })).rejects.toMatchObject({
      code: 'origin_not_allowed',
    })
    expect(outside.got).toEqual([])
  })

  it.each([
    ['an answer that refuses', () => ({ status: 403, body: '{"code":"no"}' }), 'refused', /answered 403 \(no\)/],
    ['an answer that is broken', () => ({ status: 200, body: '{' }), 'unreachable', /was not answered/],
  ])('fails with %s', async (_what, answer, code, message) => {
    outside.answer = answer
    const service = await create({ method: 'GET', url: `${outside.origin}/a` })
    await expect(service.actions.callOut!()).rejects.toMatchObject({ code, message: expect.stringMatching(message) })
  })

  it('fails with a clear sentence when nobody is there', async () => {
    const service = await create({ method: 'GET', url: 'http://127.0.0.1:9/a' })
    await expect(service.actions.callOut!()).rejects.toThrow(
      'action "callOut": GET http://127.0.0.1:9/a was not answered',
    )
  })

  it('gives up on an answer that does not come', async () => {
    const silent = createServer(() => {})
    const port = await listen(silent)
    const service = await create({ method: 'GET', url: `http://127.0.0.1:${port}/a` }, { ACTION_TIMEOUT: '1' })
    await expect(service.actions.callOut!()).rejects.toThrow('was not answered within 1000 ms')
    silent.close().closeAllConnections()
  })
})

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

it('signs nothing without a key, and says so', async () => {
  const apiCallActions = [{ name: 'callOut', apiCallRequest: { method: 'GET', url: `${outside.origin}/a` } }]
  const service = await world.create(
    'keyless',
    { actions: { apiCallActions } },
    { environment: { SERVICE_SECRET_KEY: '' } },
  )
  await expect(service.actions.callOut!()).rejects.toMatchObject({ code: 'not_signed' })
  await expect(service.start()).rejects.toThrow('set SERVICE_SECRET_KEY or SERVICE_SECRET_KEY_FILE')
  expect(outside.got).toEqual([])
})
