import { parseJwks } from '@countersign/tokens'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { type AdminApiUnderTest, openAdminApi } from '../admin/admin-api.fixture.ts'
import { describeStores } from '../storage/stores.fixture.ts'
import { mostRetiredKeys } from './lifecycle.ts'

describeStores('signing keys', (kind) => {
  let server: AdminApiUnderTest
  beforeAll(async () => {
    server = await openAdminApi({ kind })
  })
  afterAll(() => server.close())
  const published = async () =>
    (await server.app.inject('/.well-known/jwks.json')).json().keys.map(({ kid }: { kid: string }) => kid)

  it('lists them without a private member', async () => {
    const { body, text } = await server.call('GET', '/signing-keys')
    expect(body.items).toMatchObject([{ algorithm: 'ES256', status: 'active', revoked_at: null }])
    expect(Object.keys(body.items[0].public_jwk)).not.toContain('d')
    expect(text).not.toContain('sealed')
  })

  it('rotates: the new one signs, the old one is published while its tokens live', async () => {
    const before = (await server.call('GET', '/signing-keys')).body.items[0].kid
    const { status, body } = await server.call('POST', '/signing-keys/rotate', { algorithm: 'ES256' })
    expect(status).toBe(200)
    expect(body).toMatchObject({ status: 'active' })
    expect(body.kid).not.toBe(before)
    expect((await published()).sort()).toEqual([before, body.kid].sort())
    expect((await server.call('GET', '/apis')).status).toBe(200)
  })

  it('revokes: the key is gone at once, its tokens are dead at once, and another signs', async () => {
    const retired = (await server.call('GET', '/signing-keys')).body.items.find(
      ({ status }: { status: string }) => status === 'retired',
    )
    const old = await server.call('GET', '/apis')
    expect(old.status).toBe(200)
    const answer = await server.call('POST', `/signing-keys/${retired.kid}/revoke`)
    expect(answer).toMatchObject({ status: 200, body: { status: 'revoked', revoked_at: expect.any(String) } })
    expect(await published()).not.toContain(retired.kid)
    // The root token of this test was signed with it.
    expect((await server.call('GET', '/apis')).status).toBe(401)
    await server.renewRootToken()
    expect((await server.call('POST', `/signing-keys/${retired.kid}/revoke`)).status).toBe(200)
  })

  it('answers 404 to a kid that is none, 422 to an algorithm that it does not sign with', async () => {
    for (const kid of ['nothing', '%00', "'%20or%201=1"]) {
      expect((await server.call('POST', `/signing-keys/${kid}/revoke`)).status).toBe(404)
    }
    expect((await server.call('POST', '/signing-keys/rotate', { algorithm: 'HS256' })).status).toBe(422)
  })

  it('stops rotating before the published set is longer than verifiers read', async () => {
    const statuses: number[] = []
    for (let round = 0; round <= mostRetiredKeys + 1; round += 1) {
      const { status, body } = await server.call('POST', '/signing-keys/rotate', { algorithm: 'EdDSA' })
      statuses.push(status)
      if (status !== 200) expect(body.code).toBe('too_many_keys')
    }
    expect(statuses.at(-2)).toBe(200)
    expect(statuses.at(-1)).toBe(409)
    const set = (await server.app.inject('/.well-known/jwks.json')).json()
    expect(parseJwks(set).length).toBeGreaterThanOrEqual(mostRetiredKeys)
    const { length } = JSON.stringify(set)
    expect(length * 3).toBeLessThan(65_536)
  }, 20_000)

  it('says who did it', async () => {
    const { items } = (await server.call('GET', '/audit-events?type=signing_key.revoked')).body
    expect(items[0]).toMatchObject({ client_id: 'root', address: '127.0.0.1', credential: expect.any(String) })
  })
})

describeStores('revocations by an administrator', (kind) => {
  let server: AdminApiUnderTest
  beforeAll(async () => {
    server = await openAdminApi({ kind })
  })
  afterAll(() => server.close())

  it('kills one token by its jti', async () => {
    const admin = await server.administrator('svc-a', ['apis:read'])
    const { jti, exp, aud } = JSON.parse(Buffer.from(admin.token.split('.')[1] as string, 'base64url').toString())
    expect(await server.call('POST', '/revocations', { jti, exp, audience: aud })).toMatchObject({
      status: 201,
      body: { jti },
    })
    const answer = await server.call('GET', '/apis', undefined, { token: admin.token })
    expect(answer).toMatchObject({ status: 401, body: { reason: 'revoked_token' } })
    const other = await server.tokenFor(admin.id, admin.secret)
    expect((await server.call('GET', '/apis', undefined, { token: other })).status).toBe(200)
  })

  it('kills all tokens that a client has, not those it gets later', async () => {
    const admin = await server.administrator('svc-b', ['apis:read'])
    expect((await server.call('POST', '/revocations', { client_id: 'svc-b' })).status).toBe(201)
    expect((await server.call('GET', '/apis', undefined, { token: admin.token })).status).toBe(401)
    server.advance(1)
    const later = await server.tokenFor(admin.id, admin.secret)
    expect((await server.call('GET', '/apis', undefined, { token: later })).status).toBe(200)
  })

  it.each([
    {},
    { jti: 'a', client_id: 'svc-a' },
    { jti: '' },
    { jti: 'x'.repeat(257) },
    { jti: 'a', exp: 1e20 },
    { client_id: 'svc-a', exp: 1 },
  ])('answers 422 to %j', async (body) => {
    expect((await server.call('POST', '/revocations', body)).status).toBe(422)
  })

  it('answers 404 to a client that is none', async () => {
    expect((await server.call('POST', '/revocations', { client_id: 'nobody' })).status).toBe(404)
  })
})
