import { afterAll, beforeAll, expect, it } from 'vitest'
import { type AdminApiUnderTest, openAdminApi } from '../admin/admin-api.fixture.ts'
import { adminAudience } from '../admin/admin-scopes.ts'
import { describeStores } from '../storage/stores.fixture.ts'

const orders = 'https://orders.example.com'
const at = (audience: string) => `/apis/${encodeURIComponent(audience)}`

describeStores('APIs', (kind) => {
  let server: AdminApiUnderTest
  beforeAll(async () => {
    server = await openAdminApi({ kind })
  })
  afterAll(() => server.close())

  it('creates one, with defaults, and says where it is', async () => {
    const answer = await server.call('POST', '/apis', { audience: orders, scopes: [{ name: 'read:orders' }] })
    expect(answer.status).toBe(201)
    expect(answer.headers.location).toBe(`/api/v1/apis/${answer.body.id}`)
    expect(answer.headers['cache-control']).toBe('no-store')
    expect(answer.body).toEqual({
      id: expect.stringMatching(/^api_/),
      audience: orders,
      name: orders,
      scopes: [{ name: 'read:orders', description: '' }],
      signing_alg: 'ES256',
      token_ttl: 3600,
      introspectors: [],
      created_at: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/),
      updated_at: expect.stringMatching(/Z$/),
    })
  })

  it('answers 409 to a second one of that audience', async () => {
    expect((await server.call('POST', '/apis', { audience: orders })).status).toBe(409)
  })

  it('finds it by id, by percent-encoded audience and by filter', async () => {
    const found = await server.call('GET', at(orders))
    expect((await server.call('GET', `/apis/${found.body.id}`)).body).toEqual(found.body)
    expect((await server.call('GET', `/apis?audience=${encodeURIComponent(orders)}`)).body.items).toEqual([found.body])
    expect((await server.call('GET', '/apis?audience=urn:other')).body).toEqual({ items: [], next: null })
  })

  it.each([
    `${orders}/`,
    'https://ORDERS.example.com',
    'http://orders.example.com',
    'https://orders.example.co',
    ' x',
    'é\u0000',
  ])('answers 404 to %j, which is another audience', async (audience) => {
    expect((await server.call('GET', at(audience))).status).toBe(404)
  })

  it.each([
    ['a space', { audience: 'https://a b' }, 'audience'],
    ['no ASCII', { audience: 'https://exämple.com' }, 'audience'],
    ['a fragment', { audience: 'https://a.example#x' }, 'audience'],
    ['an audience like an id', { audience: 'api_AAAAAAAAAAAA' }, 'audience'],
    ['257 characters', { audience: 'x'.repeat(257) }, 'audience'],
    ['a scope with a space', { audience: 'x', scopes: [{ name: 'a b' }] }, 'scopes.0.name'],
    ['a scope twice', { audience: 'x', scopes: [{ name: 'a' }, { name: 'a' }] }, 'scopes'],
    ['201 scopes', { audience: 'x', scopes: Array.from({ length: 201 }, (_, n) => ({ name: `s${n}` })) }, 'scopes'],
    ['a life of more than a day', { audience: 'x', token_ttl: 86_401 }, 'token_ttl'],
    ['a life of nothing', { audience: 'x', token_ttl: 0 }, 'token_ttl'],
    ['half a second', { audience: 'x', token_ttl: 1.5 }, 'token_ttl'],
    ['an unknown algorithm', { audience: 'x', signing_alg: 'HS256' }, 'signing_alg'],
    ['a name of two lines', { audience: 'x', name: 'a\nb' }, 'name'],
    ['a member that it does not know', { audience: 'x', ttl: 1 }, 'ttl'],
    ['an introspector that is no client id', { audience: 'x', introspectors: ['a b'] }, 'introspectors.0'],
  ])('answers 422 to %s, and says where', async (_what, body, path) => {
    const answer = await server.call('POST', '/apis', body)
    expect(answer.status).toBe(422)
    expect(answer.headers['content-type']).toContain('application/problem+json')
    expect(answer.body.errors.map((error: { path: string }) => error.path)).toContain(path)
  })

  it.each([
    '{"audience":"a","audience":"b"}',
    '{"audience":"\\ud800"}',
    '{"audience":',
    '[]x',
    '\ufeff{}',
    '{"a":1e999}',
  ])('answers 400 to %s, which is not strict JSON', async (body) => {
    expect(await server.call('POST', '/apis', body)).toMatchObject({ status: 400, body: { code: 'malformed_json' } })
  })

  it('answers 415 to what is not JSON and 413 to what is too large', async () => {
    const form = { headers: { 'content-type': 'application/x-www-form-urlencoded' } }
    expect((await server.call('POST', '/apis', 'audience=x', form)).status).toBe(415)
    expect((await server.call('POST', '/apis', { audience: 'x', name: 'n'.repeat(300_000) })).status).toBe(413)
  })

  it('names a member that it does not know, and the one that was meant', async () => {
    const answer = await server.call('POST', '/apis', { audience: 'x', token_tll: 5 })
    expect(answer.status).toBe(422)
    expect(answer.body.detail).toContain('there is no "token_tll"; did you mean "token_ttl"?')
  })

  it('changes what a patch names and nothing else; not the audience', async () => {
    const before = (await server.call('GET', at(orders))).body
    const patched = await server.call('PATCH', at(orders), { signing_alg: 'EdDSA', token_ttl: 60 })
    expect(patched.body).toEqual({ ...before, signing_alg: 'EdDSA', token_ttl: 60, updated_at: expect.any(String) })
    expect((await server.call('PATCH', at(orders), { audience: 'other' })).status).toBe(422)
  })

  it('takes a removed scope from every grant, and says so in the audit log', async () => {
    const audience = 'urn:shrinking'
    await server.call('POST', '/apis', { audience, scopes: [{ name: 'a' }, { name: 'b' }] })
    for (const id of ['svc-1', 'svc-2']) {
      await server.call('POST', '/clients', { id })
      await server.call('PUT', `/clients/${id}/grants/${audience}`, { scopes: id === 'svc-1' ? ['a', 'b'] : ['a'] })
    }
    await server.call('PATCH', at(audience), { scopes: [{ name: 'a' }] })
    expect((await server.call('GET', '/clients/svc-1/grants')).body.items[0].scopes).toEqual(['a'])
    const { items } = (await server.call('GET', '/audit-events?type=api.updated&limit=1')).body
    expect(items[0]).toMatchObject({ audience, detail: { scopes_removed: ['b'], grants_reduced: 1 } })
  })

  it('deletes one with its grants', async () => {
    const audience = 'urn:short-lived'
    await server.call('POST', '/apis', { audience, scopes: [{ name: 'a' }] })
    await server.call('POST', '/clients', { id: 'svc-3' })
    await server.call('PUT', `/clients/svc-3/grants/${audience}`, { scopes: ['a'] })
    expect((await server.call('DELETE', at(audience))).status).toBe(204)
    expect((await server.call('DELETE', at(audience))).status).toBe(404)
    expect((await server.call('GET', '/clients/svc-3/grants')).body.items).toEqual([])
  })

  it('keeps the admin API as it is', async () => {
    expect(await server.call('DELETE', at(adminAudience))).toMatchObject({ status: 409, body: { code: 'builtin' } })
    expect(await server.call('PATCH', at(adminAudience), { scopes: [] })).toMatchObject({
      status: 409,
      body: { code: 'builtin' },
    })
  })

  it('lets only who holds everything change how long administrators stay', async () => {
    const lesser = await server.administrator('api-writer', ['apis:write'])
    const answer = await server.call('PATCH', at(adminAudience), { token_ttl: 86_400 }, { token: lesser.token })
    expect(answer.status).toBe(403)
    const introspecting = { introspectors: ['api-writer'] }
    expect((await server.call('PATCH', at(adminAudience), introspecting, { token: lesser.token })).status).toBe(403)
  })

  it('pages through them all, each once', async () => {
    for (let n = 0; n < 5; n += 1) await server.call('POST', '/apis', { audience: `urn:page-${n}` })
    const seen: string[] = []
    let cursor: string | null = ''
    while (cursor !== null) {
      const page = await server.call('GET', `/apis?limit=2${cursor && `&cursor=${encodeURIComponent(cursor)}`}`)
      expect(page.body.items.length).toBeLessThanOrEqual(2)
      seen.push(...page.body.items.map(({ id }: { id: string }) => id))
      cursor = page.body.next
    }
    expect(new Set(seen).size).toBe(seen.length)
    expect(seen.length).toBe((await server.call('GET', '/apis?limit=200')).body.items.length)
  })

  it.each(['limit=0', 'limit=201', 'limit=x', 'cursor=%00', 'cursor=WzFd', 'limits=3', 'limit=1&limit=2'])(
    'answers 422 to a list asked for with %s',
    async (query) => {
      expect((await server.call('GET', `/apis?${query}`)).status).toBe(422)
    },
  )
})
