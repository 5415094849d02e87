import { gzipSync } from 'node:zlib'
import { contentDigest, httpBinding, md5RequestHash } from '@countersign/tokens'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { rawRequest } from './raw-http.fixture.ts'
import { createWorld, type StartedService, type World } from './world.fixture.ts'

/** Every request here comes over a plain socket, byte for byte. The token is good but for what the name of the test says. */
let world: World
let service: StartedService
let other: StartedService
let handled: Buffer[]

const authOptions = { loginRequired: false, M2MAllowed: true }
const edge = (path: string, method: string) => ({
  edgeControllerOptions: { functionName: 'take', ...authOptions },
  edgeRestSettings: { path, method },
})
const document = {
  edgeControllers: [
    edge('/v1/stock', 'GET'),
    edge('/v1/stock', 'POST'),
    edge('/v1/stock', 'PUT'),
    edge('/v1/stock/:id', 'POST'),
  ],
}
const code = {
  functions: {
    take: ({ rawBody }: { rawBody: Buffer }) => {
      handled.push(rawBody)
      return { ok: true }
    },
  },
}

beforeAll(async () => {
  world = await createWorld()
  service = await world.start('inventory', document, code)
  other = await world.start('billing', document, code)
})
afterAll(() => world[Symbol.asyncDispose]())
beforeEach(() => {
  handled = []
})

interface Call {
  method?: string
  target?: string
  content?: string | Buffer
}
const tokenFor = ({ method = 'POST', target = '/v1/stock', content = '' }: Call = {}, audience = 'inventory-service') =>
  world.signer('order').sign({ audience, binding: httpBinding({ method, target, content: Buffer.from(content) }) })

const send = (
  token: string,
  { method = 'POST', target = '/v1/stock', content = '' }: Call = {},
  headers: string[] = [],
  at = service,
) => {
  const bytes = Buffer.from(content)
  const length = bytes.length > 0 ? [`Content-Length: ${bytes.length}`] : []
  return rawRequest(at.url, [`${method} ${target} HTTP/1.1`, `X-M2M-Token: ${token}`, ...length, ...headers], bytes)
}
const refusedFor = (reason: string) => ({ status: 401, body: { code: 'InvalidM2MToken', reason } })
const claims = (changes: object = {}, { method = 'POST', target = '/v1/stock', content = '' }: Call = {}) => {
  const now = Math.floor(Date.now() / 1000)
  const name = 'order-service'
  const req = { method, target, digest: contentDigest(Buffer.from(content)) }
  return {
    iss: name,
    sub: name,
    sender: name,
    aud: 'inventory-service',
    iat: now,
    exp: now + 60,
    jti: crypto.randomUUID(),
    req,
    ...changes,
  }
}

describe('a token for another request', () => {
  it.each([
    ['of another method', { method: 'PUT' }, 'method'],
    ['of another path', { target: '/v1/stock/7' }, 'target'],
    ['with a query that was not signed', { target: '/v1/stock?all=1' }, 'target'],
    ['with an escape in the path', { target: '/v1/%73tock' }, 'target'],
    ['with another body', { content: 'x' }, 'digest'],
  ] as const)('is refused for one %s', async (_what, call, reason) => {
    expect(await send(tokenFor(), call)).toMatchObject(refusedFor(reason))
    expect(handled).toEqual([])
  })

  it.each([
    '/v1//stock',
    '/v1/./stock',
    '/v1/x/%2e%2e/stock',
    '/v1/stock;a=b',
    '/V1/stock',
    '/v1/stock/',
    '/v1\\stock',
  ])('does not get in by another spelling of the path: %s', async (target) => {
    const { status } = await send(tokenFor(), { target })
    expect([400, 401, 404]).toContain(status)
    expect(handled).toEqual([])
  })

  it.each([
    ['reordered', 'b=2&a=1'],
    ['with %20 for +', 'a=1&b=2%20'],
    ['with a name repeated', 'a=1&b=2&a=1'],
    ['in another case of its escapes', 'a=%c3%A9&b=2'],
    ['with an empty end', 'a=1&b=2&'],
  ])('is refused for the query %s', async (_what, query) => {
    const token = tokenFor({ target: '/v1/stock?a=1&b=2' })
    expect(await send(token, { target: `/v1/stock?${query}` })).toMatchObject(refusedFor('target'))
  })

  it.each([
    ['NFC for NFD', '{"a":"\u00e9"}', '{"a":"e\u0301"}'],
    ['1.0 for 1', '{"a":1}', '{"a":1.0}'],
    ['a space at the end', '{"a":1}', '{"a":1} '],
    ['CRLF for LF', '{\n"a":1}', '{\r\n"a":1}'],
    ['members in another order', '{"a":1,"b":2}', '{"b":2,"a":1}'],
  ])('is refused for a body with %s', async (_what, signed, sent) => {
    expect(await send(tokenFor({ content: signed }), { content: sent })).toMatchObject(refusedFor('digest'))
  })

  it('is refused at another service', async () => {
    expect(await send(tokenFor(), {}, [], other)).toMatchObject(refusedFor('aud'))
    expect((await send(tokenFor({}, 'billing-service'), {}, [], other)).status).toBe(200)
  })

  it('is bound to the absolute form as to the path in it', async () => {
    expect((await send(tokenFor(), { target: `${service.url}/v1/stock` })).status).toBe(200)
  })
})

describe('coded and framed content', () => {
  it('is bound as it stands on the wire, with its coding', async () => {
    const content = gzipSync('{"a":1}')
    const headers = ['Content-Encoding: gzip', 'Content-Type: application/json']
    expect((await send(tokenFor({ content }), { content }, headers)).status).toBe(200)
    expect(handled[0]!.equals(content)).toBe(true)
    expect(await send(tokenFor({ content: '{"a":1}' }), { content }, headers)).toMatchObject(refusedFor('digest'))
  })

  it('may come in chunks, whose framing is not part of it', async () => {
    const head = [
      'POST /v1/stock HTTP/1.1',
      `X-M2M-Token: ${tokenFor({ content: 'hello' })}`,
      'Transfer-Encoding: chunked',
    ]
    expect((await rawRequest(service.url, head, '2\r\nhe\r\n3;x=y\r\nllo\r\n0\r\n\r\n')).status).toBe(200)
    expect(handled.map(String)).toEqual(['hello'])
  })

  it('is refused with both a length and chunks', async () => {
    const lines = ['Content-Length: 5', 'Transfer-Encoding: chunked']
    const head = ['POST /v1/stock HTTP/1.1', `X-M2M-Token: ${tokenFor({ content: 'hello' })}`, ...lines]
    expect((await rawRequest(service.url, head, '5\r\nhello\r\n0\r\n\r\n')).status).toBe(400)
    expect(handled).toEqual([])
  })

  it('counts in a GET too', async () => {
    const get = { method: 'GET' }
    expect(await send(tokenFor(get), { ...get, content: 'smuggled' })).toMatchObject(refusedFor('digest'))
    expect((await send(tokenFor({ ...get, content: 'meant' }), { ...get, content: 'meant' })).status).toBe(200)
  })

  it('carries no token in its trailers', async () => {
    const token = tokenFor({ content: 'hello' })
    const head = ['POST /v1/stock HTTP/1.1', 'Transfer-Encoding: chunked', 'Trailer: X-M2M-Token']
    const answer = await rawRequest(service.url, head, `5\r\nhello\r\n0\r\nX-M2M-Token: ${token}\r\n\r\n`)
    expect(answer).toMatchObject({ status: 401, body: { code: 'RequiresM2MToken' } })
  })
})

describe('more than one token', () => {
  it.each([
    ['twice in one header', (token: string) => [`X-M2M-Token: ${token}`]],
    ['in both headers', (token: string) => [`M2M-Token: ${token}`]],
    ['in another case', (token: string) => [`x-m2m-TOKEN: ${token}`]],
    ['with an empty one', () => ['M2M-Token:']],
  ])('is refused: %s', async (_what, more) => {
    const token = tokenFor()
    expect(await send(token, {}, more(token))).toMatchObject(refusedFor('malformed'))
    expect(handled).toEqual([])
  })

  it('is refused as a list in one header', async () => {
    expect(await send(`${tokenFor()}, ${tokenFor()}`)).toMatchObject(refusedFor('malformed'))
  })

  it('is not made of a folded header', async () => {
    const folded = ['POST /v1/stock HTTP/1.1', `X-M2M-Token: ${tokenFor()}`, ` ${tokenFor()}`]
    expect([400, 401]).toContain((await rawRequest(service.url, folded)).status)
    expect(handled).toEqual([])
  })

  it('does not stand in Authorization', async () => {
    const head = ['POST /v1/stock HTTP/1.1', `Authorization: Bearer ${tokenFor()}`]
    expect(await rawRequest(service.url, head)).toMatchObject({ status: 401, body: { code: 'RequiresM2MToken' } })
  })
})

describe('a token that was used', () => {
  it('is refused the second time, and once of a hundred that come at once', async () => {
    const token = tokenFor()
    const answers = await Promise.all(Array.from({ length: 100 }, () => send(token)))
    expect(answers.filter(({ status }) => status === 200)).toHaveLength(1)
    expect(answers.filter(({ status }) => status === 401)).toHaveLength(99)
    expect(await send(token)).toMatchObject(refusedFor('replayed'))
  })

  it('is refused in every other spelling', async () => {
    const token = tokenFor()
    expect((await send(token)).status).toBe(200)
    const [header, payload, signature] = token.split('.') as [string, string, string]
    const last = signature.at(-1)!
    const strayBits = signature.slice(0, -1) + String.fromCharCode(last.charCodeAt(0) + 1)
    const others = [`${token}=`, `${header}.${payload}.${strayBits}`, `${token}.`, `${header}=.${payload}.${signature}`]
    for (const spelled of others) expect((await send(spelled)).status).toBe(401)
    expect(handled).toHaveLength(1)
  })

  it('is refused by the next start, which cannot know it', async () => {
    const binding = httpBinding({ method: 'POST', target: '/v1/stock', content: Buffer.alloc(0) })
    const before = world.signer('order').sign({ audience: 'restarted-service', binding })
    // A token knows the millisecond it was signed in, and so does the memory when it began.
    await new Promise((done) => setTimeout(done, 5))
    const restarted = await world.start('restarted', document, code)
    expect((await send(before, {}, [], restarted)).status).toBe(401)
    expect((await send(tokenFor({}, 'restarted-service'), {}, [], restarted)).status).toBe(200)
  })

  it('was not used up by a request that was refused', async () => {
    const token = tokenFor({ content: 'a' })
    expect(await send(token, { content: 'b' })).toMatchObject(refusedFor('digest'))
    expect((await send(token, { content: 'a' })).status).toBe(200)
  })
})

describe('a token that is well signed and not right', () => {
  const now = () => Math.floor(Date.now() / 1000)
  it('is one that was right', async () => {
    expect((await send(world.forge('order', claims()))).status).toBe(200)
  })

  it.each([
    ['a list of issuers', () => ({ iss: ['order-service', 'admin-service'] }), 'iss'],
    ['another issuer than sender', () => ({ iss: 'admin-service' }), 'iss'],
    ['another subject', () => ({ sub: 'admin-service' }), /^(sub|sender|iss)$/],
    ['an audience that is a prefix', () => ({ aud: 'inventory' }), 'aud'],
    ['an audience that goes on', () => ({ aud: 'inventory-service.evil' }), 'aud'],
    ['an audience with a slash', () => ({ aud: 'inventory-service/' }), 'aud'],
    ['no audience', () => ({ aud: undefined }), 'aud'],
    ['an expiry that is a text', () => ({ exp: String(now() + 60) }), 'exp'],
    ['an expiry that has passed', () => ({ iat: now() - 100, exp: now() - 40 }), 'expired'],
    ['a life of an hour', () => ({ exp: now() + 3600 }), 'exp'],
    ['an issue in the future', () => ({ iat: now() + 100, exp: now() + 160 }), 'iat'],
    ['no jti', () => ({ jti: undefined }), 'jti'],
    ['no binding', () => ({ req: undefined }), 'req'],
    ['a binding for gRPC', () => ({ req: { method: '/a.B/C', digest: null } }), /^(req|method|target|digest)$/],
    ['a tenant that is a list', () => ({ tenant: ['acme'] }), 'tenant'],
  ])('is refused: %s', async (_what, changes, reason) => {
    const answer = await send(world.forge('order', claims(changes())))
    expect(answer).toMatchObject({ status: 401, body: { code: 'InvalidM2MToken' } })
    expect(answer.body.reason).toMatch(typeof reason === 'string' ? new RegExp(`^${reason}$`) : reason)
    expect(handled).toEqual([])
  })

  it('is refused when its bytes are not UTF-8, or not JSON', async () => {
    const [header, , signature] = tokenFor().split('.') as [string, string, string]
    for (const payload of [Buffer.from([0x7b, 0xff, 0x7d]), Buffer.from('\ufeff{}'), Buffer.from('[]')])
      expect((await send(`${header}.${payload.toString('base64url')}.${signature}`)).status).toBe(401)
  })

  it.each(['at+jwt', 'JWT', 'client-authentication+jwt', 'wpt+jwt'])('is refused as a %s', async (typ) => {
    expect(await send(world.forge('order', claims(), { typ }))).toMatchObject(refusedFor('typ'))
  })

  it.each(['../../etc/passwd', '__proto__', "' or 1=1 --", 'x'.repeat(4_000)])(
    'is refused with the kid %s',
    async (kid) => {
      expect((await send(world.forge('order', claims(), { kid }))).status).toBe(401)
    },
  )

  it('is refused when a service speaks in the name of another', async () => {
    const name = 'order-service'
    const token = world.forge('stranger', claims({ iss: name, sub: name, sender: name }))
    expect((await send(token)).status).toBe(401)
  })

  it('never leads to a look-up outside of the template', async () => {
    for (const sender of ['../evil-service', 'evil.example/x-service', 'a b-service', '-service', 'ORDER-service']) {
      const token = world.forge('order', claims({ iss: sender, sub: sender, sender }))
      expect((await send(token)).status).toBe(401)
    }
  })
})

it('takes an md5 token only where the service opted in', async () => {
  const opted = await world.start('opted', document, { ...code, environment: { M2M_ACCEPT_MD5: 'true' } })
  const signed = (at: StartedService) => {
    const hash = md5RequestHash({ method: 'POST', target: '/v1/stock', content: Buffer.alloc(0) })
    return send(world.signer('order').signMd5(hash), {}, [], at)
  }
  expect((await signed(service)).status).toBe(401)
  expect((await signed(opted)).status).toBe(200)
})
