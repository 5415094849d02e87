import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { rawRequest } from '../raw-http.fixture.ts'
import { type AnyJson, createWorld, type StartedService, type World } from '../world.fixture.ts'
import type { Session } from './session.ts'

const document = {
  edgeControllers: ['GET', 'POST'].map((method) => ({
    edgeControllerOptions: { functionName: 'whoAmI', loginRequired: true, M2MAllowed: false },
    edgeRestSettings: { path: '/me', method },
  })),
}
const functions = { whoAmI: ({ session }: AnyJson) => session }

let world: World
let service: StartedService
beforeAll(async () => {
  world = await createWorld()
  service = await world.start('accounts', document, {
    functions,
    environment: { SESSION_COOKIE: '__Host-session', SESSION_ORIGINS: 'https://app.example' },
  })
})
afterAll(() => world[Symbol.asyncDispose]())

const ask = async (headers: Record<string, string>, method = 'GET', at = service) => {
  const response = await fetch(`${at.url}/me`, { method, headers })
  return { status: response.status, headers: response.headers, body: (await response.json()) as AnyJson }
}
const cookie = (token: string) => `theme=dark; __Host-session=${token}; other=1`

describe('the session verifier that is supplied', () => {
  it('makes a session from a Bearer token and from the cookie', async () => {
    const token = world.userToken({ sub: 'bob' })
    for (const headers of [
      { authorization: `bearer  ${token}` },
      { cookie: cookie(token) },
      { cookie: cookie(`"${token}"`) },
    ] as Record<string, string>[]) {
      const { status, body } = await ask(headers)
      expect(status).toBe(200)
      expect(body).toMatchObject({ subject: 'bob', claims: { sub: 'bob' }, caller: { method: 'access_token' } })
    }
  })

  it.each([
    ['made for another audience', { aud: 'https://shop.example.evil' }],
    ['whose audience is a prefix', { aud: 'https://shop.exampl' }],
    ['of another issuer', { iss: 'https://evil.example/' }],
    ['with a list of issuers', { iss: ['http://localhost/', 'https://evil.example/'] }],
    ['that has expired', { iat: 1_000_000_000, exp: 1_000_000_100 }],
    ['whose expiry is a text', { exp: '9999999999' }],
    ['that is bound to a key', { cnf: { jkt: 'x' } }],
    ['without a subject', { sub: '' }],
  ])('refuses a token %s', async (_what, claims) => {
    expect(await ask({ authorization: `Bearer ${world.userToken(claims)}` })).toMatchObject({ status: 401 })
    expect(await ask({ cookie: cookie(world.userToken(claims)) })).toMatchObject({ status: 401 })
  })

  it('refuses a service token as a session', async () => {
    const binding = { transport: 'http', method: 'GET', target: '/me', digest: 'sha-256:x' } as const
    const token = world.signer('order').sign({ audience: 'accounts-service', binding })
    expect((await ask({ authorization: `Bearer ${token}` })).status).toBe(401)
    expect((await ask({ cookie: cookie(token) })).status).toBe(401)
  })

  it('never falls back from one credential to another', async () => {
    const good = world.userToken()
    expect((await ask({ authorization: 'Bearer wrong', cookie: cookie(good) })).status).toBe(400)
    expect((await ask({ authorization: `Bearer ${good}`, cookie: cookie('wrong') })).status).toBe(400)
    expect((await ask({ authorization: `Bearer ${good}`, cookie: cookie(good) })).status).toBe(200)
  })

  it('refuses two Authorization headers and two cookies of its name', async () => {
    const good = world.userToken()
    const two = [`Authorization: Bearer ${good}`, `Authorization: Bearer ${good}`]
    expect(await rawRequest(service.url, ['GET /me HTTP/1.1', ...two])).toMatchObject({
      status: 400,
      body: { reason: 'duplicate_authorization' },
    })
    expect(await ask({ cookie: `__Host-session=${good}; __Host-session=x` })).toMatchObject({
      status: 400,
      body: { reason: 'duplicate_cookie' },
    })
    expect((await ask({ authorization: `Bearer ${good}, Bearer ${good}` })).status).toBe(400)
  })

  it('takes no token from the URL', async () => {
    const response = await fetch(`${service.url}/me?access_token=${world.userToken()}`)
    expect(response.status).toBe(401)
  })

  it('lets no page of another origin act with the cookie', async () => {
    const own = { cookie: cookie(world.userToken()) }
    const { host } = new URL(service.url)
    expect((await ask({ ...own, origin: 'https://evil.example' }, 'POST')).body.reason).toBe('foreign_origin')
    expect((await ask({ ...own, origin: 'null' }, 'POST')).status).toBe(400)
    expect((await ask({ ...own, origin: `http://${host}.evil.example` }, 'POST')).status).toBe(400)
    expect((await ask({ ...own, origin: `http://${host}` }, 'POST')).status).toBe(200)
    expect((await ask({ ...own, origin: 'https://app.example' }, 'POST')).status).toBe(200)
    expect((await ask({ ...own, origin: 'https://evil.example' }, 'GET')).status).toBe(200)
    expect(
      (await ask({ authorization: `Bearer ${world.userToken()}`, origin: 'https://evil.example' }, 'POST')).status,
    ).toBe(200)
    const fetched = ['POST /me HTTP/1.1', `Cookie: ${own.cookie}`, 'Content-Length: 0', 'Sec-Fetch-Site: cross-site']
    expect((await rawRequest(service.url, fetched)).status).toBe(400)
  })

  it('answers 503 while the keys of the issuer cannot be had', async () => {
    const away = await world.start('away', document, {
      functions,
      environment: { SESSION_ISSUERS: 'http://localhost:9/' },
    })
    const token = world.userToken({ iss: 'http://localhost:9/' })
    const { status, headers } = await ask({ authorization: `Bearer ${token}` }, 'GET', away)
    expect({ status, retry: Number(headers.get('retry-after')) > 0 }).toEqual({ status: 503, retry: true })
  })
})

describe("a session verifier of the service's own", () => {
  const start = (name: string, sessionVerifier: AnyJson) => world.start(name, document, { functions, sessionVerifier })

  it('gets the token and gives the session', async () => {
    const verify = (token: string) =>
      token === 'opaque-1' ? { subject: 'carol', tenant: 'acme', claims: { role: 'admin' } } : undefined
    for (const [name, verifier] of [
      ['one', verify],
      ['two', { verify }],
    ] as const) {
      const own = await start(name, verifier)
      expect(await ask({ authorization: 'Bearer opaque-1' }, 'GET', own)).toMatchObject({
        status: 200,
        body: { subject: 'carol', claims: { role: 'admin' } },
      })
      expect(await ask({ authorization: 'Bearer opaque-2' }, 'GET', own)).toMatchObject({
        status: 401,
        body: { code: 'invalid_token', reason: 'invalid_session' },
      })
      expect((await ask({}, 'GET', own)).status).toBe(401)
    }
  })

  it.each([
    ['nobody', {}],
    ['an expired session', { subject: 'carol', expiresAt: 1_000_000_000 }],
    ['a subject that is no text', { subject: { $ne: '' } }],
    ['a tenant that is no text', { subject: 'carol', tenant: ['acme'] }],
    ['a promise of nothing', Promise.resolve(null)],
  ])('does not pass with %s', async (_what, session) => {
    const own = await start(`own-${crypto.randomUUID().slice(0, 8)}`, () => session as Session)
    expect((await ask({ authorization: 'Bearer x' }, 'GET', own)).status).toBe(401)
  })

  it('refuses the call where it throws, logs why, and shows nothing of it', async () => {
    const own = await start('throws', () => {
      throw Object.assign(new Error('token of hunter2 at db-7.internal'), { code: 'ERR_JWT_EXPIRED' })
    })
    const refused = await ask({ authorization: 'Bearer x' }, 'GET', own)
    expect(refused.status).toBe(401)
    expect(JSON.stringify(refused.body)).not.toContain('db-7')
    expect(world.log.lines.join('\n')).toContain('db-7.internal')
    const away = await start('sessions-away', () => {
      throw Object.assign(new Error('redis is away'), { code: 'unavailable' })
    })
    expect(await ask({ authorization: 'Bearer x' }, 'GET', away)).toMatchObject({ status: 503 })
  })
})

describe('a service without a session verifier', () => {
  it('lets nobody pass who needs a session, and says so at start', async () => {
    const none = await world.start('none', document, {
      functions,
      environment: { SESSION_ISSUERS: '', SESSION_AUDIENCE: '' },
    })
    expect((await ask({ authorization: `Bearer ${world.userToken()}` }, 'GET', none)).status).toBe(401)
    expect(world.log.lines.join('\n')).toContain('no token makes a session here, so whoAmI')
  })

  it('is not made from half of the settings', async () => {
    const half = world.create('half', document, { functions, environment: { SESSION_AUDIENCE: '' } })
    await expect(half).rejects.toThrow('SESSION_ISSUERS and SESSION_AUDIENCE go together')
  })
})
