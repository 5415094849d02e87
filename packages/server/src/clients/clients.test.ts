import { afterAll, beforeAll, expect, it } from 'vitest'
import { type AdminApiUnderTest, openAdminApi } from '../admin/admin-api.fixture.ts'
import { adminAudience } from '../admin/admin-scopes.ts'
import { describeStores } from '../storage/stores.fixture.ts'

describeStores('clients', (kind) => {
  let server: AdminApiUnderTest
  beforeAll(async () => {
    server = await openAdminApi({ kind })
    await server.call('POST', '/apis', { audience: 'urn:orders', scopes: [{ name: 'read' }, { name: 'write' }] })
  })
  afterAll(() => server.close())

  it('creates one with everything at its default, and shows no secret where none was asked for', async () => {
    const answer = await server.call('POST', '/clients', { id: 'svc-a' })
    expect(answer).toMatchObject({ status: 201, headers: { location: '/api/v1/clients/svc-a' } })
    expect(answer.body).toEqual({
      id: 'svc-a',
      name: 'svc-a',
      disabled: false,
      default_audience: null,
      auth_methods: null,
      assertion_audience: 'issuer',
      jwks_uri: null,
      spiffe_ids: [],
      tls_client_auth: null,
      created_at: expect.any(String),
      updated_at: expect.any(String),
    })
    expect((await server.call('GET', '/clients/svc-a')).body).toEqual(answer.body)
  })

  it('makes up an id, and with_secret a secret that works at once', async () => {
    const { body } = await server.call('POST', '/clients', { with_secret: true })
    expect(body).toMatchObject({ id: expect.stringMatching(/^client_/), secret_id: expect.stringMatching(/^sec_/) })
    await server.call('PUT', `/clients/${body.id}/grants/${adminAudience}`, { scopes: ['apis:read'] })
    await expect(server.tokenFor(body.id, body.client_secret)).resolves.toBeTypeOf('string')
  })

  it('lets nobody choose a secret', async () => {
    expect((await server.call('POST', '/clients', { id: 'x', client_secret: 'mine' })).status).toBe(422)
    expect((await server.call('POST', '/clients/svc-a/secrets', { secret: 'mine' })).status).toBe(422)
  })

  it('answers 409 to an id that is taken', async () => {
    expect((await server.call('POST', '/clients', { id: 'svc-a' })).status).toBe(409)
  })

  it.each([
    'svc a',
    'svc%61',
    'svc\u00e9',
    'svc\u0065\u0301',
    ' svc-a',
    'svc-a ',
    '-svc',
    'a/b',
    'a:b',
    '',
    'x'.repeat(129),
    'a\u0000',
  ])('refuses the id %j: equal ids are equal bytes, however a limiter or a log writes them', async (id) => {
    expect((await server.call('POST', '/clients', { id })).status).toBe(422)
    expect((await server.call('GET', `/clients/${encodeURIComponent(id)}`)).status).toBe(404)
  })

  it('does not find svc-a as SVC-A, and keeps both apart', async () => {
    expect((await server.call('GET', '/clients/SVC-A')).status).toBe(404)
    expect((await server.call('POST', '/clients', { id: 'SVC-A' })).status).toBe(201)
    expect((await server.call('DELETE', '/clients/SVC-A')).status).toBe(204)
    expect((await server.call('GET', '/clients/svc-a')).status).toBe(200)
  })

  it('lists by the beginning of the id, taking _ and % as they are, and in the right case', async () => {
    for (const id of ['p_1', 'p_2', 'px3', 'P_4']) await server.call('POST', '/clients', { id })
    const { items } = (await server.call('GET', '/clients?q=p_')).body
    expect(items.map(({ id }: { id: string }) => id)).toEqual(['p_1', 'p_2'])
    expect((await server.call('GET', '/clients?q=%25')).status).toBe(422)
  })

  it('changes what a patch names, and takes null for none', async () => {
    const patch = { name: 'Orders', default_audience: 'urn:orders', auth_methods: ['private_key_jwt'] }
    expect((await server.call('PATCH', '/clients/svc-a', patch)).body).toMatchObject(patch)
    const none = { default_audience: null, auth_methods: null }
    expect((await server.call('PATCH', '/clients/svc-a', none)).body).toMatchObject({ name: 'Orders', ...none })
    expect((await server.call('PATCH', '/clients/svc-a', { auth_methods: [] })).status).toBe(422)
    expect((await server.call('PATCH', '/clients/svc-a', { auth_methods: ['none'] })).status).toBe(422)
    expect((await server.call('PATCH', '/clients/svc-a', { id: 'svc-b' })).status).toBe(422)
    expect((await server.call('PATCH', '/clients/nobody', { name: 'x' })).status).toBe(404)
  })

  it.each([
    'http://keys.example.com/jwks',
    'http://localhost:9/jwks',
    'https://user:pass@keys.example.com/',
    'https://127.0.0.1/jwks',
    'https://0x7f.1/jwks',
    'https://[::1]/jwks',
    'https://[::ffff:169.254.169.254]/latest',
    'https://169.254.169.254/latest/meta-data',
    'https://10.0.0.1/',
    'https://localhost/',
    'https://keys.internal/',
    'https://keys.example.com/#frag',
    'file:///etc/passwd',
    'gopher://x',
    'not a url',
    'https://keys.example.com/\nx',
  ])('refuses %j as jwks_uri', async (jwks_uri) => {
    const answer = await server.call('PATCH', '/clients/svc-a', { jwks_uri })
    expect(answer.status).toBe(422)
    expect(answer.body.errors[0].path).toBe('jwks_uri')
  })

  it('takes an https jwks_uri', async () => {
    const jwks_uri = 'https://keys.example.com/jwks.json?v=1'
    expect((await server.call('PATCH', '/clients/svc-a', { jwks_uri })).body.jwks_uri).toBe(jwks_uri)
  })

  it.each([
    [{ spiffe_ids: ['spiffe://example.org/a*'] }, 'spiffe_ids'],
    [{ spiffe_ids: ['https://example.org/a'] }, 'spiffe_ids'],
    [{ spiffe_ids: ['spiffe://example.org/a', 'spiffe://example.org/a'] }, 'spiffe_ids'],
    [{ tls_client_auth: {} }, 'tls_client_auth'],
    [{ tls_client_auth: { san_dns: 'a.example', san_ip: '192.0.2.1' } }, 'tls_client_auth'],
    [{ tls_client_auth: { san_dns: '*.example' } }, 'tls_client_auth'],
    [{ tls_client_auth: { san_uri: 'spiffe://example.org/a' } }, 'tls_client_auth'],
    [{ tls_client_auth: { san_ip: '010.0.0.1' } }, 'tls_client_auth'],
    [{ tls_client_auth: { subject_dn: 'orders' } }, 'tls_client_auth'],
    [{ tls_client_auth: { subject: 'CN=orders' } }, 'tls_client_auth'],
  ])('refuses %j, which would let in nobody or too many', async (patch, path) => {
    const answer = await server.call('PATCH', '/clients/svc-a', patch)
    expect(answer.status).toBe(422)
    expect(answer.body.errors[0].path).toMatch(new RegExp(`^${path}`))
  })

  it('keeps SPIFFE IDs and the name in certificates, and takes them away again', async () => {
    const identity = { spiffe_ids: ['spiffe://example.org/a/*'], tls_client_auth: { san_ip: '2001:DB8::1' } }
    expect((await server.call('PATCH', '/clients/svc-a', identity)).body).toMatchObject(identity)
    expect((await server.call('GET', '/clients/svc-a')).body).toMatchObject(identity)
    const none = { spiffe_ids: [], tls_client_auth: null }
    expect((await server.call('PATCH', '/clients/svc-a', none)).body).toMatchObject(none)
    expect((await server.call('POST', '/clients', { id: 'with-identity', ...identity })).body).toMatchObject(identity)
  })

  it('disabling one kills its tokens and its secrets; enabling revives the secrets only', async () => {
    const admin = await server.administrator('short-reign', ['apis:read'])
    const list = () => server.call('GET', '/apis', undefined, { token: admin.token })
    expect((await list()).status).toBe(200)
    await server.call('PATCH', '/clients/short-reign', { disabled: true })
    expect(await list()).toMatchObject({ status: 401, body: { code: 'invalid_token', reason: 'revoked_token' } })
    await expect(server.tokenFor(admin.id, admin.secret)).rejects.toThrow('invalid_client')
    await server.call('PATCH', '/clients/short-reign', { disabled: false })
    expect((await list()).status).toBe(401)
    server.advance(1)
    expect(
      (await server.call('GET', '/apis', undefined, { token: await server.tokenFor(admin.id, admin.secret) })).status,
    ).toBe(200)
  })

  it('deleting one kills its tokens, and a new one of the same id inherits nothing', async () => {
    await server.call('POST', '/apis', { audience: 'urn:introspected', introspectors: ['reborn', 'svc-a'] })
    const first = await server.administrator('reborn', ['apis:read'])
    const revocations = () =>
      server.authority.store.database.selectFrom('revocations').selectAll().where('client_id', '=', 'reborn').execute()
    expect((await server.call('DELETE', '/clients/reborn')).status).toBe(204)
    expect(await revocations()).toHaveLength(1)
    expect((await server.call('GET', '/apis', undefined, { token: first.token })).status).toBe(401)
    await server.call('POST', '/clients', { id: 'reborn' })
    expect((await server.call('GET', '/apis', undefined, { token: first.token })).status).toBe(401)
    await expect(server.tokenFor('reborn', first.secret)).rejects.toThrow('invalid_client')
    expect((await server.call('GET', '/clients/reborn/grants')).body.items).toEqual([])
    expect((await server.call('GET', '/clients/reborn/secrets')).body.items).toEqual([])
    expect((await server.call('GET', '/apis/urn:introspected')).body.introspectors).toEqual(['svc-a'])
  })
})

describeStores('client secrets', (kind) => {
  let server: AdminApiUnderTest
  beforeAll(async () => {
    server = await openAdminApi({ kind })
    await server.call('POST', '/clients', { id: 'svc-a' })
    await server.call('PUT', `/clients/svc-a/grants/${adminAudience}`, { scopes: ['apis:read'] })
  })
  afterAll(() => server.close())

  it('shows a secret once; lists show what is known of it', async () => {
    const created = await server.call('POST', '/clients/svc-a/secrets', { label: 'blue', expires_in: 3600 })
    expect(created.status).toBe(201)
    const { client_secret, ...shown } = created.body
    expect(client_secret).toMatch(/^cs_secret_[A-Za-z0-9]{49}$/)
    const list = await server.call('GET', '/clients/svc-a/secrets')
    expect(list.body.items).toEqual([shown])
    expect(list.text).not.toContain(client_secret)
    await server.tokenFor('svc-a', client_secret)
  })

  it('keeps overlapping secrets valid until each is revoked', async () => {
    const first = (await server.call('POST', '/clients/svc-a/secrets')).body
    const second = (await server.call('POST', '/clients/svc-a/secrets')).body
    await server.tokenFor('svc-a', first.client_secret)
    await server.tokenFor('svc-a', second.client_secret)
    expect((await server.call('DELETE', `/clients/svc-a/secrets/${first.id}`)).status).toBe(204)
    await expect(server.tokenFor('svc-a', first.client_secret)).rejects.toThrow('invalid_client')
    await server.tokenFor('svc-a', second.client_secret)
    expect((await server.call('DELETE', `/clients/svc-a/secrets/${first.id}`)).status).toBe(404)
  })

  it('ends a secret when it is due', async () => {
    const expires_at = new Date(Date.now() + 60_000).toISOString()
    const { client_secret, id } = (await server.call('POST', '/clients/svc-a/secrets', { expires_at })).body
    await server.tokenFor('svc-a', client_secret)
    server.advance(61)
    await expect(server.tokenFor('svc-a', client_secret)).rejects.toThrow('invalid_client')
    const { items } = (await server.call('GET', '/clients/svc-a/secrets')).body
    expect(items.find((secret: { id: string }) => secret.id === id)).toMatchObject({ expired: true })
  })

  it.each([
    { expires_at: '2020-01-01T00:00:00Z' },
    { expires_at: '9999-01-01T00:00:00Z' },
    { expires_at: 'tomorrow' },
    { expires_in: 0 },
    { expires_in: 1e300 },
    { expires_in: 60, expires_at: '2030-01-01T00:00:00Z' },
    { label: 'x'.repeat(101) },
  ])('answers 422 to %j', async (body) => {
    expect((await server.call('POST', '/clients/svc-a/secrets', body)).status).toBe(422)
  })

  it('stops at ten, even when many are asked for at once', async () => {
    await server.call('POST', '/clients', { id: 'hoarder' })
    const answers = await Promise.all(Array.from({ length: 15 }, () => server.call('POST', '/clients/hoarder/secrets')))
    expect(answers.filter(({ status }) => status === 201)).toHaveLength(10)
    expect(answers.filter(({ status }) => status === 409)).toHaveLength(5)
  })

  it('does not reach the secret of another client', async () => {
    await server.call('POST', '/clients', { id: 'other' })
    const { id } = (await server.call('POST', '/clients/other/secrets')).body
    expect((await server.call('DELETE', `/clients/svc-a/secrets/${id}`)).status).toBe(404)
    expect((await server.call('GET', '/clients/other/secrets')).body.items).toHaveLength(1)
    expect((await server.call('POST', '/clients/nobody/secrets')).status).toBe(404)
  })
})
