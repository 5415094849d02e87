import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { rawRequest } from '../raw-http.fixture.ts'
import { type AnyJson, createWorld, type StartedService, type World } from '../world.fixture.ts'

const open = { loginRequired: false, M2MAllowed: false }
let world: World
let service: StartedService

beforeAll(async () => {
  world = await createWorld()
  service = await world.start(
    'inventory',
    {
      businessApis: [
        {
          name: 'decreaseStock',
          authOptions: open,
          restSettings: { path: '/v1/stock/:productId/decrease', method: 'POST' },
          input: {
            type: 'object',
            properties: {
              productId: { type: 'string' },
              quantity: { type: 'integer', minimum: 1 },
              dryRun: { type: 'boolean', default: false },
              tags: { type: 'array', items: { type: 'string' } },
              email: { type: 'string', format: 'email' },
              nested: { type: 'object', properties: { sku: { type: 'string' } }, required: ['sku'] },
            },
            required: ['productId', 'quantity'],
            additionalProperties: false,
          },
        },
        { name: 'find', authOptions: open, restSettings: { path: '/v1/find/{area}', method: 'GET' } },
        { name: 'anything', authOptions: open },
        { name: 'nothing', authOptions: open },
      ],
    },
    {
      handlers: {
        decreaseStock: (input) => input,
        find: (input) => input,
        anything: (input) => ({ input, polluted: ({} as AnyJson).admin ?? null, keys: Object.keys(input) }),
        nothing: () => undefined,
      },
    },
  )
})
afterAll(() => world[Symbol.asyncDispose]())

const post = async (
  path: string,
  body?: unknown,
  headers: Record<string, string> = { 'content-type': 'application/json' },
) => {
  const content = typeof body === 'string' || body === undefined ? body : JSON.stringify(body)
  const response = await fetch(service.url + path, { method: 'POST', headers, body: content as string })
  const type = response.headers.get('content-type') ?? ''
  return {
    status: response.status,
    type,
    body: (type.includes('json') ? await response.json() : await response.text()) as AnyJson,
  }
}

describe('the input of a business API', () => {
  it('is path, query and body together, each read as its schema wants it', async () => {
    const { status, body } = await post('/v1/stock/p-1/decrease?dryRun=true&tags=%5B%22a%22%5D', { quantity: 3 })
    expect({ status, body }).toEqual({
      status: 200,
      body: { productId: 'p-1', dryRun: true, tags: ['a'], quantity: 3 },
    })
    const numeric = await post('/v1/stock/17/decrease', { quantity: 3 })
    expect(numeric.body).toEqual({ productId: '17', dryRun: false, quantity: 3 })
  })

  it('takes a GET with its path and query, as texts where no schema says otherwise', async () => {
    const response = await fetch(`${service.url}/v1/find/north%2Feast?q=1&r=a+b%20c`)
    expect(await response.json()).toEqual({ area: 'north/east', q: '1', r: 'a b c' })
  })

  it.each([
    ['in path and body', '/v1/stock/p-1/decrease', { productId: 'p-2', quantity: 1 }, 'productId'],
    ['in query and body', '/v1/stock/p-1/decrease?quantity=1', { quantity: 2 }, 'quantity'],
    ['twice in the query', '/v1/stock/p-1/decrease?quantity=1&quantity=1', {}, 'quantity'],
    ['in path and query', '/v1/stock/p-1/decrease?productId=p-1', { quantity: 1 }, 'productId'],
  ])('refuses a name that is given %s', async (_where, path, body, name) => {
    const answer = await post(path, body)
    expect(answer).toMatchObject({ status: 400, type: 'application/problem+json', body: { code: 'name_given_twice' } })
    expect(answer.body.detail).toContain(`"${name}"`)
  })

  it.each([
    ['a missing member', {}, 'quantity', '"quantity" is missing'],
    ['a wrong type', { quantity: '3' }, 'quantity', '"quantity" must be integer'],
    ['a bound', { quantity: 0 }, 'quantity', '"quantity" must be >= 1'],
    ['an unknown member', { quantity: 1, secret: 'hunter2' }, 'secret', '"secret" is not a member that is known here'],
    ['a member inside', { quantity: 1, nested: {} }, 'nested.sku', '"nested.sku" is missing'],
    ['a format', { quantity: 1, email: 'hunter2' }, 'email', '"email" must match format "email"'],
  ])('names the member at fault, and never its value: %s', async (_what, body, path, detail) => {
    const answer = await post('/v1/stock/p-1/decrease', body)
    expect(answer).toMatchObject({
      status: 422,
      type: 'application/problem+json',
      body: { code: 'invalid_input', detail, errors: [{ path }], status: 422, title: 'Unprocessable Entity' },
    })
    expect(JSON.stringify(answer.body)).not.toContain('hunter2')
  })

  it.each([
    ['broken JSON', '{"a":', 400],
    ['two members of one name', '{"a":1,"a":2}', 400],
    ['a number that is infinite', '{"a":1e999}', 400],
    ['a member called __proto__', '{"__proto__":{"admin":true}}', 400],
    ['__proto__ spelled with escapes', '{"\\u005f_proto__":{"admin":true}}', 400],
    ['an array', '[1]', 422],
    ['null', 'null', 422],
    ['a text', '"x"', 422],
  ])('refuses %s', async (_what, body, status) => {
    expect(await post('/anything', body)).toMatchObject({ status, type: 'application/problem+json' })
  })

  it('refuses 100,000 brackets without falling over', async () => {
    expect((await post('/anything', `{"a":${'['.repeat(100_000)}${']'.repeat(100_000)}}`)).status).toBe(400)
  })

  it('refuses invalid UTF-8 and a byte order mark', async () => {
    for (const content of [Buffer.from([0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d]), Buffer.from('\ufeff{}')]) {
      const head = ['POST /anything HTTP/1.1', 'Content-Type: application/json', `Content-Length: ${content.length}`]
      expect((await rawRequest(service.url, head, content)).status).toBe(400)
    }
  })

  it('lets no name reach the prototype of anything', async () => {
    expect((await post('/anything?__proto__=x')).status).toBe(400)
    expect((await post('/anything?%5f_proto__=x')).status).toBe(400)
    const body = { constructor: { prototype: { admin: true } }, hasOwnProperty: 1, toString: 2 }
    const answer = await post('/anything?valueOf=3', body)
    expect(answer).toMatchObject({ status: 200, body: { polluted: null } })
    expect(answer.body.keys.sort()).toEqual(['constructor', 'hasOwnProperty', 'toString', 'valueOf'])
    expect(({} as AnyJson).admin).toBeUndefined()
  })

  it('takes no m2mPayload from outside', async () => {
    expect((await post('/anything', { m2mPayload: { sender: 'admin-service' }, a: 1 })).body.keys).toEqual(['a'])
    expect((await post('/anything?m2mPayload=admin-service', { a: 1 })).body.keys).toEqual(['a'])
  })

  it('asks for JSON, without a content coding', async () => {
    for (const headers of [{ 'content-type': 'text/plain' }, { 'content-type': 'application/x-www-form-urlencoded' }])
      expect(await post('/anything', '{}', headers)).toMatchObject({ status: 415 })
    const coded = { 'content-type': 'application/json', 'content-encoding': 'gzip' }
    expect(await post('/anything', '{}', coded)).toMatchObject({ status: 415, body: { code: 'unsupported_coding' } })
    expect((await post('/anything', '{}', { 'content-type': 'application/vnd.shop+json; charset=utf-8' })).status).toBe(
      200,
    )
  })

  it('answers 204 where a handler gives nothing', async () => {
    expect(await post('/nothing')).toMatchObject({ status: 204, body: '' })
  })

  it('refuses a query whose escapes are broken', async () => {
    const answer = await rawRequest(service.url, ['GET /v1/find/a?x=%zz HTTP/1.1'])
    expect(answer).toMatchObject({ status: 400, body: { code: 'malformed_query' } })
    expect((await rawRequest(service.url, ['GET /v1/find/%zz HTTP/1.1'])).status).toBe(400)
  })

  it('says what there is at a path that is unknown, and repeats nothing strange', async () => {
    const { status, body } = await post('/v2/stock')
    expect({ status, body }).toMatchObject({ status: 404, body: { code: 'not_found' } })
    expect((await post('/%3Cscript%3E')).body.detail).not.toContain('script')
  })
})

describe('the size of a request', () => {
  it('is bounded, whether its length is told or not', async () => {
    const large = 'x'.repeat(1024 * 1024 + 1)
    expect(await post('/anything', { large })).toMatchObject({ status: 413, body: { code: 'too_large' } })
    const head = ['POST /anything HTTP/1.1', 'Content-Type: application/json', 'Transfer-Encoding: chunked']
    const chunk = `${(1024 * 600).toString(16)}\r\n${'x'.repeat(1024 * 600)}\r\n`
    expect((await rawRequest(service.url, head, chunk + chunk)).status).toBe(413)
  })

  it('is refused from its headers alone', async () => {
    const head = ['POST /anything HTTP/1.1', 'Content-Type: application/json', 'Content-Length: 10000000000']
    expect((await rawRequest(service.url, head, '{')).status).toBe(413)
  })

  it("is the operator's to set", async () => {
    const small = await world.start(
      'small',
      { businessApis: [{ name: 'anything', authOptions: open }] },
      { handlers: { anything: () => 'ok' }, environment: { MAX_BODY: '10' } },
    )
    const send = (body: string) =>
      fetch(`${small.url}/anything`, { method: 'POST', body, headers: { 'content-type': 'application/json' } })
    expect((await send('{"a":1234}')).status).toBe(200)
    expect((await send('{"a":12345}')).status).toBe(413)
  })
})
