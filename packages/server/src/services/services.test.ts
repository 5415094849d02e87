import { generateKeyPairSync } from 'node:crypto'
import { type GeneratedKey, generateSigningKey, jwkThumbprint } from '@countersign/tokens'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { type AdminApiUnderTest, openAdminApi } from '../admin/admin-api.fixture.ts'
import { describeStores } from '../storage/stores.fixture.ts'

const newKey = () => generateSigningKey('EdDSA')
const keys = await Promise.all(Array.from({ length: 12 }, newKey))
const [first, second, third] = keys as [GeneratedKey, GeneratedKey, GeneratedKey]
const jwks = (...some: GeneratedKey[]) => ({ jwks: { keys: some.map(({ publicJwk }) => publicJwk) } })
const zero = { kty: 'OKP', crv: 'Ed25519', x: 'A'.repeat(43) }

describeStores('services', (kind) => {
  let server: AdminApiUnderTest
  beforeAll(async () => {
    server = await openAdminApi({ kind })
  })
  afterAll(() => server.close())

  const kidsOf = async (name: string) =>
    (await server.call('GET', `/services/${name}`)).body.jwks.keys.map(({ kid }: { kid: string }) => kid)
  const lastEvent = async () => (await server.call('GET', '/audit-events?limit=1')).body.items[0]

  it('registers one with one key, and says where it is', async () => {
    const answer = await server.call('PUT', '/services/order', { jwk: first.publicJwk })
    expect(answer.status).toBe(201)
    expect(answer.headers.location).toBe('/api/v1/services/order')
    expect(answer.body).toEqual({
      name: 'order',
      jwks: { keys: [first.publicJwk] },
      created_at: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/),
      updated_at: expect.stringMatching(/Z$/),
    })
    expect(await lastEvent()).toMatchObject({
      type: 'service.registered',
      outcome: 'success',
      client_id: 'root',
      target: 'service/order',
      detail: { keys_added: [first.kid], keys_removed: [] },
    })
  })

  it('takes order-service for order', async () => {
    const short = await server.call('GET', '/services/order')
    expect((await server.call('GET', '/services/order-service')).body).toEqual(short.body)
    const answer = await server.call('PUT', '/services/order-service', jwks(first))
    expect(answer).toMatchObject({ status: 200, body: { name: 'order', created_at: short.body.created_at } })
    expect((await server.call('GET', '/services')).body.items).toHaveLength(1)
  })

  it('replaces its keys by a set or by one key', async () => {
    expect((await server.call('PUT', '/services/order', jwks(second, third))).body).toMatchObject(jwks(second, third))
    expect((await server.call('PUT', '/services/order', { jwk: first.publicJwk })).body).toMatchObject(jwks(first))
    expect(await lastEvent()).toMatchObject({
      type: 'service.updated',
      detail: { keys_added: [first.kid], keys_removed: [second.kid, third.kid] },
    })
  })

  it('adds a key beside the old one and removes the old one later, so that a rotation overlaps', async () => {
    const added = await server.call('POST', '/services/order/keys', { jwk: second.publicJwk })
    expect(added).toMatchObject({ status: 201, body: jwks(first, second) })
    expect(added.headers.location).toBe(`/api/v1/services/order/keys/${second.kid}`)
    expect(await lastEvent()).toMatchObject({ type: 'service.updated', detail: { keys_added: [second.kid] } })
    expect((await server.call('DELETE', `/services/order/keys/${first.kid}`)).status).toBe(204)
    expect(await kidsOf('order')).toEqual([second.kid])
    expect(await lastEvent()).toMatchObject({ type: 'service.updated', detail: { keys_removed: [first.kid] } })
    expect((await server.call('DELETE', `/services/order/keys/${first.kid}`)).status).toBe(404)
  })

  it('loses no key when many are added at once', async () => {
    await server.call('PUT', '/services/busy', { jwks: { keys: [] } })
    const answers = await Promise.all(
      keys.map(({ publicJwk }) => server.call('POST', '/services/busy/keys', { jwk: publicJwk })),
    )
    expect(answers.filter(({ status }) => status === 201)).toHaveLength(10)
    for (const { status, body } of answers) if (status !== 201) expect(body.code).toBe('too_many_keys')
    expect(new Set(await kidsOf('busy')).size).toBe(10)
  })

  it('lets the last key go, when it must', async () => {
    await server.call('PUT', '/services/leaked', jwks(first))
    expect((await server.call('DELETE', `/services/leaked/keys/${first.kid}`)).status).toBe(204)
    expect(await kidsOf('leaked')).toEqual([])
  })

  it('answers 409 to a key that it has already, however it is written', async () => {
    const { kty, crv, x } = second.publicJwk
    const answer = await server.call('POST', '/services/order/keys', {
      jwk: { kty, crv, x, alg: 'Ed25519', kid: 'new' },
    })
    expect(answer).toMatchObject({ status: 409, body: { code: 'key_registered' } })
  })

  it('publishes of a key what is needed, with its RFC 7638 thumbprint as its kid', async () => {
    const { kty, crv, x } = third.publicJwk
    const jwk = { kty, crv, x, kid: 'mine', x5c: ['MIIB'], x5u: 'https://evil.example', key_ops: ['verify'] }
    const answer = await server.call('PUT', '/services/plain', { jwk })
    expect(answer.body.jwks.keys).toEqual([
      { kty, crv, x, kid: jwkThumbprint({ kty, crv, x } as never), alg: 'EdDSA', use: 'sig' },
    ])
  })

  const p256 = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 })
  it.each([
    ['P-256', p256.publicKey.export({ format: 'jwk' })],
    ['RSA', rsa.publicKey.export({ format: 'jwk' })],
    ['Ed448', generateKeyPairSync('ed448').publicKey.export({ format: 'jwk' })],
    ['X25519', generateKeyPairSync('x25519').publicKey.export({ format: 'jwk' })],
    ['no key at all', {}],
  ])('refuses %s, and says that service tokens are Ed25519', async (_what, jwk) => {
    const answer = await server.call('PUT', '/services/wrong', { jwk })
    expect(answer).toMatchObject({ status: 422, body: { code: 'invalid_key', errors: [{ path: 'jwk.kty' }] } })
    expect(answer.body.detail).toContain('Ed25519 only')
  })

  it.each([
    ['a key of small order', { ...zero, x: 'AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA' }, 'weak_key'],
    ['the zero key', zero, 'weak_key'],
    ['a key for RS256', { ...first.publicJwk, alg: 'RS256' }, 'invalid_key'],
    ['a key for encryption', { ...first.publicJwk, use: 'enc' }, 'invalid_key'],
    ['a symmetric key', { kty: 'oct', k: 'c2VjcmV0' }, 'invalid_key'],
  ])('refuses %s', async (_what, jwk, code) => {
    expect(await server.call('PUT', '/services/wrong', { jwk })).toMatchObject({ status: 422, body: { code } })
    const inSet = await server.call('PUT', '/services/wrong', { jwks: { keys: [first.publicJwk, jwk] } })
    expect(inSet).toMatchObject({ status: 422, body: { code } })
    expect(inSet.body.errors[0].path).toMatch(/^jwks\.keys\.1/)
    expect((await server.call('GET', '/services/wrong')).status).toBe(404)
  })

  it.each([
    ['Ed25519', first.privateKey],
    ['P-256', p256.privateKey],
    ['RSA', rsa.privateKey],
  ])('refuses a private %s key as leaked, and repeats nothing of it', async (_what, key) => {
    const jwk = key.export({ format: 'jwk' })
    for (const [method, at] of [
      ['PUT', ''],
      ['POST', '/keys'],
    ] as const) {
      const answer = await server.call(method, `/services/order${at}`, { jwk })
      expect(answer).toMatchObject({ status: 422, body: { code: 'invalid_key', errors: [{ path: 'jwk.d' }] } })
      expect(answer.body.detail).toContain('replace this one')
      for (const text of [answer.text, server.logged()]) expect(text).not.toContain(jwk.d)
    }
  })

  it.each([
    ['nothing', {}, ''],
    ['both', { jwk: first.publicJwk, ...jwks(first) }, ''],
    ['a key twice', jwks(first, first), 'jwks.keys.1'],
    ['eleven keys', jwks(...keys.slice(0, 11)), 'jwks.keys'],
    ['a member that it does not know', { jwsk: {} }, 'jwsk'],
    ['a set that is a list', { jwks: [first.publicJwk] }, 'jwks'],
    ['a key that is text', { jwk: 'key' }, 'jwk'],
  ])('answers 422 to %s, and says where', async (_what, body, path) => {
    const answer = await server.call('PUT', '/services/wrong', body)
    expect(answer).toMatchObject({ status: 422, body: { code: 'invalid' } })
    expect(answer.body.errors[0].path).toBe(path)
  })

  it.each(['Order', 'order_x', '-order', 'a'.repeat(64), 'order-service-service', '%00', '..%2forder'])(
    'registers nothing as %s, and finds nothing there',
    async (name) => {
      const answer = await server.call('PUT', `/services/${name}`, jwks(first))
      expect(answer).toMatchObject({ status: 422, body: { errors: [{ path: 'name' }] } })
      for (const [method, at] of [
        ['GET', ''],
        ['DELETE', ''],
        ['DELETE', `/keys/${first.kid}`],
      ] as const) {
        expect((await server.call(method, `/services/${name}${at}`)).status).toBe(404)
      }
    },
  )

  it('unregisters one', async () => {
    await server.call('PUT', '/services/gone', jwks(first))
    expect((await server.call('DELETE', '/services/gone-service')).status).toBe(204)
    expect(await lastEvent()).toMatchObject({
      type: 'service.unregistered',
      target: 'service/gone',
      detail: { keys_removed: [first.kid] },
    })
    expect((await server.call('GET', '/services/gone')).status).toBe(404)
    expect((await server.call('DELETE', '/services/gone')).status).toBe(404)
    expect((await server.call('POST', '/services/gone/keys', { jwk: first.publicJwk })).status).toBe(404)
  })

  it('writes no event for what was refused', async () => {
    const before = await lastEvent()
    await server.call('PUT', '/services/order', { jwk: zero })
    await server.call('POST', '/services/order/keys', { jwk: second.publicJwk })
    await server.call('DELETE', '/services/unknown')
    expect(await lastEvent()).toEqual(before)
  })

  it('asks for services:read to see and services:write to change', async () => {
    const reader = await server.administrator('service-reader', ['services:read'])
    const writer = await server.administrator('service-writer', ['services:write'])
    const other = await server.administrator('client-writer', ['clients:read', 'clients:write'])
    const status = async (method: string, path: string, { token }: { token: string }, body?: unknown) =>
      (await server.call(method, path, body, { token })).status
    expect(await status('GET', '/services', reader)).toBe(200)
    expect(await status('GET', '/services/order', reader)).toBe(200)
    expect(await status('GET', '/services', writer)).toBe(403)
    expect(await status('PUT', '/services/mine', writer, jwks(first))).toBe(201)
    for (const caller of [reader, other]) {
      expect(await status('PUT', '/services/mine', caller, jwks(second))).toBe(403)
      expect(await status('POST', '/services/mine/keys', caller, { jwk: second.publicJwk })).toBe(403)
      expect(await status('DELETE', `/services/mine/keys/${first.kid}`, caller)).toBe(403)
      expect(await status('DELETE', '/services/mine', caller)).toBe(403)
    }
  })

  it('pages through them all, each once', async () => {
    const seen: string[] = []
    for (let cursor: string | null = ''; cursor !== null; ) {
      const page = await server.call('GET', `/services?limit=2${cursor && `&cursor=${encodeURIComponent(cursor)}`}`)
      expect(page.body.items.length).toBeLessThanOrEqual(2)
      seen.push(...page.body.items.map(({ name }: { name: string }) => name))
      cursor = page.body.next
    }
    expect(new Set(seen).size).toBe(seen.length)
    expect(seen).toHaveLength((await server.call('GET', '/services?limit=200')).body.items.length)
  })
})
