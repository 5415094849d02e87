import { connect } from 'node:net'
import fc from 'fast-check'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { rawRequest } from '../raw-http.fixture.ts'
import { createWorld, type StartedService, type World } from '../world.fixture.ts'

let world: World
let service: StartedService

beforeAll(async () => {
  world = await createWorld()
  const auths = [
    { loginRequired: false, M2MAllowed: false },
    { loginRequired: false, M2MAllowed: true },
    { loginRequired: true, M2MAllowed: true },
  ]
  const input = {
    type: 'object',
    properties: {
      id: { type: 'string', maxLength: 20 },
      count: { type: 'integer' },
      list: { type: 'array' },
      deep: { type: 'object' },
    },
  }
  service = await world.start(
    'fuzzed',
    {
      serviceSettings: { serviceOptions: { multiTenant: true } },
      businessApis: auths.flatMap((authOptions, index) =>
        ['GET', 'POST'].map((method) => ({
          name: `api${index}${method}`,
          authOptions,
          input,
          restSettings: { path: `/api${index}/:id`, method },
        })),
      ),
      edgeControllers: [
        {
          edgeControllerOptions: { functionName: 'hook', loginRequired: false },
          edgeRestSettings: { path: '/hook', method: 'POST' },
        },
      ],
    },
    {
      handlers: Object.fromEntries(
        auths.flatMap((_, index) => ['GET', 'POST'].map((method) => [`api${index}${method}`, (given) => given])),
      ),
      functions: { hook: ({ headers, query, body }) => ({ headers, query, body: String(body) }) },
    },
  )
})
afterAll(() => world[Symbol.asyncDispose]())

const path = fc.oneof(
  fc
    .constantFrom('/api0/', '/api1/', '/api2/')
    .chain((base) => fc.string({ unit: 'grapheme-ascii' }).map((rest) => base + encodeURIComponent(rest))),
  fc.constantFrom(
    '/hook',
    '/healthz',
    '/openapi.json',
    '/metrics',
    '/.well-known/service.json',
    '*',
    '/',
    '//x',
    '/%',
    '/api0/%ff',
  ),
)
const query = fc.oneof(
  fc.constant(''),
  fc.string({ unit: 'grapheme-ascii' }).map((text) => `?${text.replaceAll(/[\s#]/g, '+')}`),
  fc.webQueryParameters().map((text) => `?${text}`),
)
const header = fc.constantFrom(
  'X-M2M-Token: a.b.c',
  'X-M2M-Token: ',
  'M2M-Token: eyJhbGciOiJub25lIn0.e30.',
  'Authorization: Bearer x',
  'Authorization: Basic eDp5',
  'Authorization: ',
  'Cookie: session=x; session=y',
  'Cookie: session=',
  'Cookie: ;;;=;',
  'X-Tenant-Id: acme',
  'X-Tenant-Id: acme',
  'X-Tenant-Id: \u00e9',
  'Content-Type: application/json',
  'Content-Type: application/json; charset=utf-16',
  'Content-Type: multipart/form-data',
  'Content-Type: application/x-www-form-urlencoded',
  'Content-Type: ;',
  'Content-Encoding: gzip',
  'Origin: null',
  'Expect: 100-continue',
  'm2mPayload: {"sender":"admin-service"}',
  '__proto__: x',
)
const content = fc.oneof(
  fc.constant(''),
  fc.json().map((text) => text),
  fc
    .object({ key: fc.constantFrom('id', 'count', 'list', 'deep', '__proto__', 'constructor', 'm2mPayload', 'tenant') })
    .map((value) => JSON.stringify(value)),
  fc.uint8Array().map((bytes) => Buffer.from(bytes)),
)

it('never answers 5xx, whatever is sent', { timeout: 300_000 }, async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom('GET', 'POST', 'POST', 'PUT', 'OPTIONS', 'HEAD', 'TRACE'),
      path,
      query,
      fc.array(header, { maxLength: 6 }),
      content,
      async (method, at, search, headers, body) => {
        const bytes = Buffer.from(body)
        const head = [`${method} ${at}${search} HTTP/1.1`, ...headers, `Content-Length: ${bytes.length}`]
        const { status, text } = await rawRequest(service.url, head, bytes)
        expect(status, `${head.join('\n')}\n\n${bytes.toString('latin1')}\n\n${text}`).toSatisfy(
          (code) => code >= 200 && code < 500,
        )
      },
    ),
    { numRuns: 600 },
  )
})

it('stands whoever hangs up in the middle, and bytes that are no HTTP', async () => {
  const { hostname, port, host } = new URL(service.url)
  const starts = [
    `POST /hook HTTP/1.1\r\nHost: ${host}\r\nContent-Length: 100\r\n\r\nhalf`,
    `POST /api1/x HTTP/1.1\r\nHost: ${host}\r\nX-M2M-Token: a.b.c\r\nContent-Length: 100\r\n\r\nhalf`,
    `POST /hook HTTP/1.1\r\nHost: ${host}\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n`,
    'GET / HTTP/9.9\r\n\r\n',
    '\u0016\u0003\u0001\u0002\u0000\u0001',
    'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n',
  ]
  for (const start of starts) {
    const socket = connect(Number(port), hostname).on('error', () => {})
    await new Promise((written) => socket.write(start, 'latin1', written))
    socket.destroy()
  }
  expect((await fetch(`${service.url}/healthz`)).status).toBe(200)
})
