import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type AdminApiUnderTest, openAdminApi } from '../admin/admin-api.fixture.ts'
import { adminAudience, adminScopeNames } from '../admin/admin-scopes.ts'
import { describeStores } from '../storage/stores.fixture.ts'

const orders = 'https://orders.example.com/v1'
const grant = (client: string, api: string) => `/clients/${client}/grants/${encodeURIComponent(api)}`

describeStores('grants', (kind) => {
  let server: AdminApiUnderTest
  beforeAll(async () => {
    server = await openAdminApi({ kind })
    await server.call('POST', '/apis', { audience: orders, scopes: [{ name: 'read' }, { name: 'write' }] })
    await server.call('POST', '/clients', { id: 'svc-a' })
  })
  afterAll(() => server.close())

  it('replaces what was granted at that API, by id or by audience', async () => {
    const first = await server.call('PUT', grant('svc-a', orders), { scopes: ['read', 'write', 'read'] })
    expect(first).toMatchObject({
      status: 200,
      body: { client_id: 'svc-a', audience: orders, scopes: ['read', 'write'] },
    })
    const second = await server.call('PUT', grant('svc-a', first.body.api_id), { scopes: ['read'] })
    expect(second.body).toEqual({ ...first.body, scopes: ['read'] })
    expect((await server.call('GET', '/clients/svc-a/grants')).body).toEqual({ items: [second.body], next: null })
  })

  it('names the scope that the API does not define, and those that it does', async () => {
    const answer = await server.call('PUT', grant('svc-a', orders), { scopes: ['read', 'delete'] })
    expect(answer).toMatchObject({ status: 422, body: { code: 'invalid' } })
    expect(answer.body.detail).toContain(`${orders} does not define "delete"; it defines read write`)
  })

  it('answers 404 for an unknown client, an unknown API and a grant that is not there', async () => {
    expect((await server.call('PUT', grant('nobody', orders), { scopes: [] })).status).toBe(404)
    expect((await server.call('PUT', grant('svc-a', 'urn:nothing'), { scopes: [] })).status).toBe(404)
    expect((await server.call('PUT', grant('svc-a', `${orders}/`), { scopes: [] })).status).toBe(404)
    expect((await server.call('DELETE', grant('svc-a', orders))).status).toBe(204)
    expect((await server.call('DELETE', grant('svc-a', orders))).status).toBe(404)
  })

  it('needs clients:write, and says so', async () => {
    const { token } = await server.administrator('reader', ['clients:read'])
    const answer = await server.call('PUT', grant('svc-a', orders), { scopes: [] }, { token })
    expect(answer).toMatchObject({ status: 403, body: { code: 'insufficient_scope', scope: 'clients:write' } })
    expect(answer.headers['www-authenticate']).toContain('insufficient_scope')
  })
})

describe('nobody hands out a power over the server that he does not hold', () => {
  let server: AdminApiUnderTest
  let lesser: { id: string; token: string }
  const asLesser = (method: string, path: string, body?: unknown) =>
    server.call(method, path, body, { token: lesser.token })
  beforeAll(async () => {
    server = await openAdminApi()
    lesser = await server.administrator('lesser', ['clients:read', 'clients:write', 'apis:write'])
    await server.administrator('key-master', ['keys:write'])
    await server.call('POST', '/clients', { id: 'svc-a' })
  })
  afterAll(() => server.close())

  it('grants itself nothing more', async () => {
    const answer = await asLesser('PUT', grant('lesser', adminAudience), { scopes: [...adminScopeNames] })
    expect(answer).toMatchObject({ status: 403, body: { code: 'insufficient_scope' } })
    expect(answer.body.scope.split(' ').sort()).toEqual(
      adminScopeNames.filter((scope) => !['clients:read', 'clients:write', 'apis:write'].includes(scope)).sort(),
    )
    expect((await server.call('GET', '/clients/lesser/grants')).body.items[0].scopes).toHaveLength(3)
  })

  it('passes on what it holds', async () => {
    expect((await asLesser('PUT', grant('svc-a', adminAudience), { scopes: ['clients:read'] })).status).toBe(200)
    expect((await asLesser('DELETE', grant('svc-a', adminAudience))).status).toBe(204)
  })

  it.each([
    ['adds no secret to', 'POST', '/clients/key-master/secrets', {}],
    [
      'adds no key to',
      'POST',
      '/clients/key-master/keys',
      { jwk: { kty: 'OKP', crv: 'Ed25519', x: '11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo' } },
    ],
    ['sets no jwks_uri of', 'PATCH', '/clients/key-master', { jwks_uri: 'https://evil.example/jwks' }],
    ['loosens no assertions of', 'PATCH', '/clients/key-master', { assertion_audience: 'token_endpoint' }],
    ['takes no grant from', 'DELETE', grant('key-master', adminAudience), undefined],
    ['narrows no grant of', 'PUT', grant('key-master', adminAudience), { scopes: [] }],
    ['does not delete', 'DELETE', '/clients/key-master', undefined],
    ['does not disable', 'PATCH', '/clients/key-master', { disabled: true }],
    ['kills no tokens of', 'POST', '/revocations', { client_id: 'key-master' }],
    ['does not delete', 'DELETE', '/clients/root', undefined],
    ['adds no secret to', 'POST', '/clients/root/secrets', {}],
  ])('%s a client that holds more (%s %s)', async (_what, method, path, body) => {
    expect(await asLesser(method, path, body)).toMatchObject({ status: 403, body: { code: 'insufficient_scope' } })
  })

  it('counts what the token carries, not what the client could have asked for', async () => {
    const strong = await server.administrator('strong', ['clients:write', 'keys:write'])
    const narrow = await server.tokenFor('strong', strong.secret, 'clients:write')
    const answer = await server.call('POST', '/clients/strong/secrets', undefined, { token: narrow })
    expect(answer).toMatchObject({ status: 403, body: { scope: 'keys:write' } })
    expect((await server.call('POST', '/clients/strong/secrets', undefined, { token: strong.token })).status).toBe(201)
  })

  it('counts what is granted now, not what was when the token was issued', async () => {
    const former = await server.administrator('former', ['clients:read', 'clients:write'])
    await server.call('PUT', grant('former', adminAudience), { scopes: ['clients:read'] })
    const answer = await server.call('POST', '/clients', { id: 'too-late' }, { token: former.token })
    expect(answer).toMatchObject({ status: 403, body: { code: 'insufficient_scope' } })
    expect((await server.call('GET', '/clients', undefined, { token: former.token })).status).toBe(200)
  })

  it('does not get round the rule by making the admin API again under another name', async () => {
    expect((await asLesser('POST', '/apis', { audience: adminAudience })).status).toBe(409)
    for (const audience of ['URN:countersign:admin', 'urn:countersign:admin/', 'urn:countersign:%61dmin']) {
      const made = await asLesser('POST', '/apis', { audience, scopes: [{ name: 'keys:write' }] })
      expect(made.status).toBe(201)
      await asLesser('PUT', grant('lesser', audience), { scopes: ['keys:write'] })
      const { client_secret } = (await asLesser('POST', '/clients/lesser/secrets')).body
      const form = new URLSearchParams({
        grant_type: 'client_credentials',
        audience,
        client_id: 'lesser',
        client_secret,
      })
      const token = (
        await server.app.inject({
          method: 'POST',
          url: '/oauth/token',
          headers: { 'content-type': 'application/x-www-form-urlencoded' },
          payload: form.toString(),
        })
      ).json().access_token
      const answer = await server.call('POST', '/signing-keys/rotate', { algorithm: 'ES256' }, { token })
      expect(answer).toMatchObject({ status: 401, body: { reason: 'wrong_audience' } })
    }
  })

  it('writes each refusal down, with who, from where and by which key', async () => {
    await asLesser('DELETE', '/clients/key-master')
    const { items } = (await server.call('GET', '/audit-events?type=admin.refused&client_id=lesser&limit=1')).body
    expect(items[0]).toMatchObject({
      outcome: 'failure',
      client_id: 'lesser',
      address: '127.0.0.1',
      credential: server.authority.keyRing.published[0]?.kid,
      reason: expect.stringContaining('insufficient_scope'),
      target: 'DELETE /api/v1/clients/:id',
    })
  })
})
