import { createPublicKey, generateKeyPairSync } from 'node:crypto'
import { createTestAuthority } from '@countersign/spiffe/testing'
import { signClientAssertion } from '@countersign/tokens'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { type AdminApiUnderTest, openAdminApi } from '../admin/admin-api.fixture.ts'
import { adminAudience } from '../admin/admin-scopes.ts'
import { describeStores } from '../storage/stores.fixture.ts'

const p256 = generateKeyPairSync('ec', { namedCurve: 'P-256' })
const ed25519 = generateKeyPairSync('ed25519')
const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 })
const publicJwk = (pair: { publicKey: import('node:crypto').KeyObject }) => pair.publicKey.export({ format: 'jwk' })

describeStores('client keys', (kind) => {
  let server: AdminApiUnderTest
  beforeAll(async () => {
    server = await openAdminApi({ kind })
    await server.call('POST', '/clients', { id: 'svc-a' })
    await server.call('PUT', `/clients/svc-a/grants/${adminAudience}`, { scopes: ['apis:read'] })
  })
  afterAll(() => server.close())

  const add = (jwk: object, client = 'svc-a') => server.call('POST', `/clients/${client}/keys`, { jwk })

  it('takes a public key, names it by its thumbprint, and lets the client in with it', async () => {
    const answer = await add({ ...publicJwk(p256), x5t: 'ignored', key_ops: ['verify'] })
    expect(answer.status).toBe(201)
    expect(answer.body).toMatchObject({
      algorithm: 'ES256',
      kid: expect.stringMatching(/^[A-Za-z0-9_-]{43}$/),
      last_used_at: null,
    })
    expect(Object.keys(answer.body.jwk).sort()).toEqual(['alg', 'crv', 'kid', 'kty', 'use', 'x', 'y'])
    const assertion = signClientAssertion({
      clientId: 'svc-a',
      audience: 'https://auth.example.com/',
      key: p256.privateKey,
      algorithm: 'ES256',
      kid: answer.body.kid,
      now: Math.floor(Date.now() / 1000),
    })
    const token = await server.app.inject({
      method: 'POST',
      url: '/oauth/token',
      headers: { 'content-type': 'application/x-www-form-urlencoded' },
      payload: new URLSearchParams({
        grant_type: 'client_credentials',
        client_assertion_type: 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer',
        client_assertion: assertion,
      }).toString(),
    })
    expect(token.statusCode).toBe(200)
  })

  it('takes a certificate, alone or as x5c of its key, and shows it with the key', async () => {
    const authority = createTestAuthority('clients.test')
    const { certificatePem, keyPem } = authority.certificate({ dnsNames: ['a.example'] })
    const x5c = [certificatePem.replace(/-----[A-Z ]+-----|\s/g, '')]
    const jwk = createPublicKey(keyPem).export({ format: 'jwk' })
    const byPem = await server.call('POST', '/clients/svc-a/keys', { certificate: certificatePem })
    expect([byPem.status, byPem.body.jwk]).toMatchObject([201, { ...jwk, x5c }])
    await server.call('DELETE', `/clients/svc-a/keys/${byPem.body.kid}`)
    const byJwk = await add({ ...jwk, x5c })
    expect([byJwk.status, byJwk.body.jwk.x5c]).toEqual([201, x5c])
    await server.call('DELETE', `/clients/svc-a/keys/${byJwk.body.kid}`)
    const refused = [
      { jwk: { ...publicJwk(p256), x5c } },
      { jwk: { ...jwk, x5c: ['AAAA'] } },
      { jwk: { ...jwk, x5c: [] } },
      { jwk, certificate: certificatePem },
      { certificate: 'no PEM' },
      { certificate: certificatePem + certificatePem },
      {},
    ]
    for (const body of refused) {
      expect([
        JSON.stringify(body).slice(0, 60),
        (await server.call('POST', '/clients/svc-a/keys', body)).status,
      ]).toEqual([JSON.stringify(body).slice(0, 60), 422])
    }
  })

  it.each([
    [
      'an Ed25519 key of small order',
      { kty: 'OKP', crv: 'Ed25519', x: 'AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA' },
      'weak_key',
    ],
    ['the zero key', { kty: 'OKP', crv: 'Ed25519', x: 'A'.repeat(43) }, 'weak_key'],
    ['RSA of 1024 bits', publicJwk(generateKeyPairSync('rsa', { modulusLength: 1024 })), 'weak_key'],
    ['RSA with e = 1', { ...publicJwk(rsa), e: 'AQ' }, 'weak_key'],
    ['a P-256 key for ES384', { ...publicJwk(p256), alg: 'ES384' }, 'invalid_key'],
    ['an RSA key for HS256', { ...publicJwk(rsa), alg: 'HS256' }, 'invalid_key'],
    ['a P-256 key for none', { ...publicJwk(p256), alg: 'none' }, 'invalid_key'],
    ['a point off the curve', { ...publicJwk(p256), y: publicJwk(p256).x }, 'weak_key'],
    ['a symmetric key', { kty: 'oct', k: 'c2VjcmV0' }, 'invalid_key'],
    ['a key for encryption', { ...publicJwk(p256), use: 'enc' }, 'invalid_key'],
    ['nothing', {}, 'invalid_key'],
  ])('refuses %s', async (_what, jwk, code) => {
    expect(await add(jwk)).toMatchObject({ status: 422, body: { code } })
  })

  it('refuses a private key and repeats nothing of it', async () => {
    const jwk = p256.privateKey.export({ format: 'jwk' })
    const answer = await add(jwk)
    expect(answer).toMatchObject({ status: 422, body: { code: 'invalid_key' } })
    for (const text of [answer.text, server.logged()]) expect(text).not.toContain(jwk.d)
  })

  it('takes no key a second time, under no other kid and no other algorithm', async () => {
    await server.call('POST', '/clients', { id: 'svc-rsa' })
    expect((await add({ ...publicJwk(rsa), kid: 'one', alg: 'RS256' }, 'svc-rsa')).status).toBe(201)
    const again = await add({ ...publicJwk(rsa), kid: 'two', alg: 'PS256' }, 'svc-rsa')
    expect(again).toMatchObject({ status: 409, body: { code: 'key_registered' } })
  })

  it('ties an RSA key without alg to RS256, so that no assertion uses it under another scheme', async () => {
    await server.call('POST', '/clients', { id: 'svc-rsa-2' })
    expect((await add(publicJwk(rsa), 'svc-rsa-2')).body).toMatchObject({ algorithm: 'RS256', jwk: { alg: 'RS256' } })
  })

  it('answers 409 to a second key of a kid', async () => {
    await server.call('POST', '/clients', { id: 'svc-kid' })
    expect((await add({ ...publicJwk(p256), kid: 'same' }, 'svc-kid')).status).toBe(201)
    expect((await add({ ...publicJwk(ed25519), kid: 'same' }, 'svc-kid')).status).toBe(409)
  })

  it.each(['../../etc/passwd', '__proto__', "' or 1=1 --".replaceAll(' ', '+'), 'https://kid/?a=b#c'])(
    'keeps a kid such as %j as it is, and removes it by it',
    async (kid) => {
      await server.call('POST', '/clients', { id: 'svc-odd' })
      expect((await add({ ...publicJwk(ed25519), kid }, 'svc-odd')).body.kid).toBe(kid)
      expect((await server.call('DELETE', `/clients/svc-odd/keys/${encodeURIComponent(kid)}`)).status).toBe(204)
      expect((await server.call('DELETE', `/clients/svc-odd/keys/${encodeURIComponent(kid)}`)).status).toBe(404)
    },
  )

  it('refuses a kid with a space, a control character, or of 129 characters', async () => {
    for (const kid of ['a b', 'a\u0000', 'x'.repeat(129), 'é']) {
      expect((await add({ ...publicJwk(ed25519), kid })).status).toBe(422)
    }
  })

  it('stops at twenty', async () => {
    await server.call('POST', '/clients', { id: 'hoarder' })
    for (let n = 0; n < 20; n += 1) {
      expect((await add(publicJwk(generateKeyPairSync('ed25519')), 'hoarder')).status).toBe(201)
    }
    const answer = await add(publicJwk(generateKeyPairSync('ed25519')), 'hoarder')
    expect(answer).toMatchObject({ status: 409, body: { code: 'too_many_keys' } })
    expect((await server.call('GET', '/clients/hoarder/keys?limit=15')).body.next).not.toBeNull()
  })
})
