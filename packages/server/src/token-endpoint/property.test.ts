import fc from 'fast-check'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { basic, startTestServer, type TestClient, type TestServer } from '../server.fixture.ts'

let server: TestServer
let client: TestClient

beforeAll(async () => {
  server = await startTestServer()
  client = await server.addClient('svc-a')
})
afterAll(() => server.close())

const errors = [
  'invalid_request',
  'invalid_client',
  'invalid_grant',
  'invalid_scope',
  'invalid_target',
  'unauthorized_client',
  'unsupported_grant_type',
  'temporarily_unavailable',
]

const names = fc.constantFrom(
  'grant_type',
  'client_id',
  'client_secret',
  'client_assertion',
  'client_assertion_type',
  'scope',
  'audience',
  'resource',
  'token',
  'token_type_hint',
  '__proto__',
  'constructor',
  'toString',
)
const anyText = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 60 }),
  fc.string({ unit: 'grapheme', maxLength: 40 }),
  fc.constantFrom(
    'client_credentials',
    'svc-a',
    'https://orders.example.com',
    'read:orders',
    '',
    '\0',
    'a.b.c',
    '%',
    '..',
    'eyJhbGciOiJub25lIn0.e30.',
  ),
)
const encoded = anyText.map((text) => {
  const bytes = Buffer.from(text)
  return [...bytes].map((byte) => `%${byte.toString(16).padStart(2, '0')}`).join('')
})
const value = fc.oneof(
  encoded,
  anyText.map((text) => text.toWellFormed()),
)
const body = fc.oneof(
  {
    weight: 5,
    arbitrary: fc
      .array(fc.tuple(fc.oneof({ weight: 6, arbitrary: names }, { weight: 1, arbitrary: value }), value), {
        maxLength: 8,
      })
      .map((pairs) => pairs.map(([name, text]) => `${name}=${text}`).join('&')),
  },
  { weight: 1, arbitrary: fc.string({ unit: 'binary', maxLength: 300 }).map((text) => text.toWellFormed()) },
  { weight: 1, arbitrary: fc.uint8Array({ maxLength: 300 }) },
  { weight: 1, arbitrary: fc.json() },
)
const headerText = fc.string({
  unit: fc.integer({ min: 0x20, max: 0xff }).map((code) => String.fromCharCode(code)),
  maxLength: 60,
})
const authorization = fc.oneof(
  { weight: 3, arbitrary: fc.constant(undefined) },
  { weight: 3, arbitrary: fc.constant('RIGHT') },
  { weight: 1, arbitrary: headerText },
  { weight: 1, arbitrary: headerText.map((text) => `Basic ${Buffer.from(text, 'latin1').toString('base64')}`) },
  { weight: 1, arbitrary: fc.string().map((text) => `Bearer ${Buffer.from(text).toString('base64url')}`) },
)
const contentType = fc.oneof(
  { weight: 6, arbitrary: fc.constant('application/x-www-form-urlencoded') },
  {
    weight: 1,
    arbitrary: fc.constantFrom(
      'application/json',
      'application/x-www-form-urlencoded; charset=latin1',
      'multipart/form-data',
    ),
  },
  { weight: 1, arbitrary: headerText },
)

async function ask(path: string, content: string | Uint8Array, type: string, credential: string | undefined) {
  const headers = {
    'content-type': type,
    ...(credential === undefined ? {} : { authorization: credential === 'RIGHT' ? basic(client) : credential }),
  }
  return server.app.inject({ method: 'POST', url: path, headers, payload: Buffer.from(content as string) })
}

for (const path of ['/oauth/token', '/oauth/introspect', '/oauth/revoke']) {
  it(`${path} never answers 500, and always answers in OAuth JSON that no cache keeps`, async () => {
    await fc.assert(
      fc.asyncProperty(body, contentType, authorization, async (content, type, credential) => {
        const answer = await ask(path, content, type, credential)
        expect([200, 400, 401, 413]).toContain(answer.statusCode)
        expect(answer.headers['cache-control']).toBe('no-store')
        if (answer.statusCode === 200) return
        expect(answer.headers['content-type']).toMatch(/^application\/json/)
        const { error, error_description, ...rest } = answer.json()
        expect(errors).toContain(error)
        expect(error_description).toMatch(/^[\x20\x21\x23-\x5b\x5d-\x7e]+$/)
        expect(rest).toEqual({})
        if (answer.statusCode === 401) expect(answer.headers['www-authenticate']).toBeDefined()
      }),
      { numRuns: 250 },
    )
  }, 60_000)
}

it('issues a token only for what is granted, whatever is asked', async () => {
  const scopes = fc.array(fc.oneof(fc.constantFrom('read:orders', 'write:orders', 'admin', ''), anyText), {
    maxLength: 4,
  })
  await fc.assert(
    fc.asyncProperty(scopes, async (asked) => {
      const scope = asked.join(' ').toWellFormed()
      const answer = await ask(
        '/oauth/token',
        `grant_type=client_credentials&scope=${encodeURIComponent(scope)}`,
        'application/x-www-form-urlencoded',
        'RIGHT',
      )
      if (answer.statusCode !== 200) {
        expect(answer.json().error).toBe('invalid_scope')
        return
      }
      const granted = answer.json().scope.split(' ')
      expect(['read:orders', 'write:orders']).toEqual(expect.arrayContaining(granted))
      if (scope !== '') expect(new Set(granted)).toEqual(new Set(scope.split(' ')))
    }),
    { numRuns: 150 },
  )
}, 60_000)

it('is healthy afterwards, with an audit chain that took it all', async () => {
  const answer = await server.post('/oauth/token', { grant_type: 'client_credentials' }, client)
  expect(answer.status).toBe(200)
  const logged = server.log.filter((line) => JSON.parse(line).level >= 50)
  expect(logged).toEqual([])
})
