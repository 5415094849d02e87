import { LimitsError } from '@countersign/limits'
import { createSigner, generateSigningKey } from '@countersign/tokens'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { defaultTokenLimits } from '../token-endpoint/token-limits.ts'
import { type AdminApiUnderTest, openAdminApi } from './admin-api.fixture.ts'
import { adminAudience, adminScopeNames } from './admin-scopes.ts'
import type { OpenApiDocument } from './openapi.ts'

describe('the admin API', () => {
  let server: AdminApiUnderTest
  let document: OpenApiDocument
  let operations: { method: string; path: string; scopes: string[] }[]
  beforeAll(async () => {
    server = await openAdminApi()
    document = (await server.call('GET', '/openapi.json', undefined, { token: null })).body
    operations = Object.entries(document.paths).flatMap(([path, methods]) =>
      Object.entries(methods).map(([method, { security }]) => ({
        method: method.toUpperCase(),
        path: path.replace('/api/v1', '').replaceAll(/\{[^}]+\}/g, 'x'),
        scopes: security?.flatMap(({ admin }) => admin ?? []) ?? [],
      })),
    )
  })
  afterAll(() => server.close())

  it('describes every operation: what it does, what it takes, which scope it needs', () => {
    expect(document).toMatchObject({ openapi: '3.1.0' })
    expect(operations.length).toBeGreaterThan(25)
    for (const [path, methods] of Object.entries(document.paths)) {
      for (const [method, operation] of Object.entries(methods)) {
        const name = `${method} ${path}`
        expect(operation.summary, name).toBeTruthy()
        expect(operation.tags, name).toHaveLength(1)
        expect(
          Object.keys(operation.responses).some((status) => status.startsWith('2')),
          name,
        ).toBe(true)
        expect(operation.responses['401'], name).toBeDefined()
        for (const parameter of path.match(/(?<=\{)[^}]+/g) ?? []) {
          expect(
            operation.parameters?.map(({ name: each }) => each),
            name,
          ).toContain(parameter)
        }
      }
    }
    for (const { scopes, path } of operations) {
      expect(scopes.length, path).toBeGreaterThan(0)
      for (const scope of scopes) expect(adminScopeNames).toContain(scope)
    }
  })

  it('says of what needs a trust domain that it may be refused, and refuses it here', async () => {
    const needing = Object.entries(document.paths)
      .filter(([, { get }]) => get?.responses['409'])
      .map(([path]) => path.replace('/api/v1', '').replaceAll(/\{[^}]+\}/g, 'x'))
    const nouns = ['certificate-authorities', 'entries', 'join-tokens', 'nodes', 'trust-bundles']
    expect([...new Set(needing.map((path) => path.split('/')[1]))].sort()).toEqual(nouns)
    for (const path of needing) {
      expect(await server.call('GET', path), path).toMatchObject({ status: 409, body: { code: 'no_trust_domain' } })
    }
  })

  it('lets nobody in without a token, with a challenge, whatever the operation', async () => {
    for (const { method, path } of operations) {
      const answer = await server.call(method, path, method === 'GET' ? undefined : {}, { token: null })
      expect(answer, `${method} ${path}`).toMatchObject({ status: 401, body: { code: 'missing_credential' } })
      expect(answer.headers['www-authenticate']).toMatch(/^Bearer realm="urn:countersign:admin"/)
    }
  })

  it('lets nobody in with every scope but the one that is needed, whatever the operation', async () => {
    const all = await server.administrator('all-but-one', adminScopeNames)
    for (const { method, path, scopes } of operations) {
      const others = adminScopeNames.filter((scope) => !scopes.includes(scope)).join(' ')
      const token = await server.tokenFor(all.id, all.secret, others)
      const answer = await server.call(method, path, method === 'GET' ? undefined : {}, { token })
      expect(answer, `${method} ${path}`).toMatchObject({ status: 403, body: { code: 'insufficient_scope' } })
    }
  })

  it('refuses a token in the URL, and writes it nowhere', async () => {
    const { token } = await server.administrator('careless', ['apis:read'])
    const answer = await server.call('GET', `/apis?access_token=${token}`, undefined, { token: null })
    expect(answer.status).toBe(400)
    const twice = await server.call('GET', `/apis?access_token=${token}`)
    expect(twice.status).toBe(400)
    const { text: events } = await server.call('GET', '/audit-events?limit=50')
    for (const text of [answer.text, twice.text, events, server.logged()]) expect(text).not.toContain(token)
  })

  it('takes no token for another API, of another issuer, of another type, altered or expired', async () => {
    const now = server.authority.now()
    const mine = server.authority.keyRing.signerFor('ES256')
    const foreign = await generateSigningKey('ES256')
    const theirs = createSigner({ algorithm: 'ES256', kid: foreign.kid, key: foreign.privateKey, type: 'at+jwt' })
    const claims = {
      iss: server.authority.issuer,
      sub: 'root',
      client_id: 'root',
      aud: adminAudience as string | string[],
      scope: 'apis:read',
      iat: now,
      exp: now + 60,
      jti: 'a',
    }
    const call = (token: string) => server.call('GET', '/apis', undefined, { token })
    expect((await call(mine.sign(claims))).status).toBe(200)
    for (const [reason, token] of [
      ['wrong_audience', mine.sign({ ...claims, aud: `${adminAudience}/` })],
      ['wrong_audience', mine.sign({ ...claims, aud: 'https://orders.example.com' })],
      ['wrong_issuer', mine.sign({ ...claims, iss: 'https://auth.example.com' })],
      ['expired_token', mine.sign({ ...claims, iat: now - 60, exp: now - 1 })],
      ['unknown_key', theirs.sign(claims)],
      ['invalid_signature', mine.sign(claims).replace(/\.[^.]*$/, `.${theirs.sign(claims).split('.')[2]}`)],
    ] as const) {
      expect(await call(token), reason).toMatchObject({ status: 401, body: { code: 'invalid_token', reason } })
    }
  })

  it('refuses a client that does not exist although its token is well signed', async () => {
    const now = server.authority.now()
    const token = server.authority.keyRing.signerFor('ES256').sign({
      iss: server.authority.issuer,
      sub: 'ghost',
      client_id: 'ghost',
      aud: adminAudience,
      scope: 'apis:read',
      iat: now,
      exp: now + 60,
      jti: 'b',
    })
    expect((await server.call('GET', '/apis', undefined, { token })).status).toBe(401)
  })

  it('writes no more refusals than the limit allows, and refuses all the same', async () => {
    const limited = await openAdminApi({
      tokenLimits: {
        perAddress: { name: 'address', quota: 1000, windowSeconds: 60 },
        perClient: { name: 'client', quota: 1000, windowSeconds: 60 },
        failuresPerAddress: { name: 'failures', quota: 5, windowSeconds: 60 },
      },
    })
    for (let n = 0; n < 40; n += 1) {
      expect((await limited.call('GET', '/apis', undefined, { token: 'nonsense' })).status).toBe(401)
    }
    expect((await limited.call('GET', '/apis')).status).toBe(200)
    const written = await limited.call('GET', '/audit-events?type=admin.refused&limit=200')
    expect(written.body.items.length).toBeLessThanOrEqual(6)
    await limited.close()
  })

  it('refuses with 503, and no row less, while the limiter cannot decide', async () => {
    const limited = await openAdminApi({
      tokenLimits: defaultTokenLimits,
      limiter: {
        take(limit) {
          if (limit.name === 'failures') throw new LimitsError('store_unavailable', 'Redis is away')
          return { allowed: true, limit, remaining: 1, resetSeconds: 0, retryAfterSeconds: 0 }
        },
      },
    })
    const answer = await limited.call('GET', '/apis', undefined, { token: 'nonsense' })
    expect(answer).toMatchObject({ status: 503, body: { code: 'unavailable' } })
    expect(answer.headers['retry-after']).toBe('1')
    expect((await limited.call('GET', '/apis')).status).toBe(200)
    await limited.close()
  })

  it('answers no question of a browser whether another site may ask', async () => {
    const origin = 'https://evil.example'
    for (const path of ['/apis', '/clients', '/openapi.json', '/docs']) {
      for (const method of ['OPTIONS', 'GET']) {
        const answer = await server.call(method, path, undefined, {
          headers: { origin, 'access-control-request-method': 'POST', cookie: 'session=1' },
        })
        expect(Object.keys(answer.headers).filter((name) => name.startsWith('access-control'))).toEqual([])
      }
    }
    const foreign = await server.call('POST', '/clients', 'id=svc-forged', {
      token: null,
      headers: { origin, 'content-type': 'text/plain' },
    })
    expect(foreign.status).toBe(401)
  })

  it('shows the same to read, without anything that could run or load', async () => {
    const answer = await server.call('GET', '/docs', undefined, { token: null })
    expect(answer.status).toBe(200)
    expect(answer.headers['content-security-policy']).toMatch(/^default-src 'none'; style-src 'sha256-[^']+';/)
    expect(answer.text).not.toMatch(/<script|<link|<img|<iframe|style="|\son[a-z]+=|https?:\/\/(?!orders\.example)/i)
    for (const { path } of operations) expect(answer.text).toContain(path.split('/')[1] as string)
    expect(answer.text).toContain('apis:write')
  })
})
