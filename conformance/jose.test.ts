import { createRemoteJWKSet, customFetch, decodeProtectedHeader, jwtVerify } from 'jose'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { audiences, type ServerUnderTest, scopes, startServerUnderTest } from './server-under-test.ts'

let server: ServerUnderTest
let svc: { clientId: string; clientSecret: string }

beforeAll(async () => {
  server = await startServerUnderTest()
  svc = await server.addClient('svc', {}, Object.values(audiences))
})
afterAll(() => server.close())

const keysOf = (issuer: string) => createRemoteJWKSet(new URL('.well-known/jwks.json', issuer), { cooldownDuration: 0 })

describe('jose', () => {
  it.each(Object.entries(audiences))(
    'verifies our %s tokens by issuer, audience and key set',
    async (alg, audience) => {
      const token = await server.token(svc, audience)
      const { payload, protectedHeader } = await jwtVerify(token, keysOf(server.issuer), {
        issuer: server.issuer,
        audience,
        algorithms: [alg],
        typ: 'at+jwt',
        requiredClaims: ['iss', 'sub', 'client_id', 'aud', 'scope', 'iat', 'exp', 'jti'],
      })
      expect(protectedHeader).toMatchObject({ alg, typ: 'at+jwt' })
      expect(payload).toMatchObject({ iss: server.issuer, aud: audience, sub: 'svc', scope: scopes.join(' ') })
    },
  )

  it('refuses our token for another audience, and from an issuer without the slash', async () => {
    const token = await server.token(svc, audiences.ES256)
    const keys = keysOf(server.issuer)
    await expect(jwtVerify(token, keys, { audience: audiences.RS256 })).rejects.toMatchObject({ claim: 'aud' })
    await expect(jwtVerify(token, keys, { issuer: server.issuer.slice(0, -1) })).rejects.toMatchObject({ claim: 'iss' })
  })

  it('follows a rotation, and goes on verifying what the key before had signed', async () => {
    const keys = keysOf(server.issuer)
    const before = await server.token(svc, audiences.ES256)
    await jwtVerify(before, keys)
    await server.admin('POST', '/signing-keys/rotate', { algorithm: 'ES256' })
    const after = await server.token(svc, audiences.ES256)
    expect(decodeProtectedHeader(after).kid).not.toBe(decodeProtectedHeader(before).kid)
    await jwtVerify(after, keys)
    await jwtVerify(before, keys)
  })

  it('no longer finds a revoked key', async () => {
    const token = await server.token(svc, audiences.EdDSA)
    const { kid } = decodeProtectedHeader(token)
    await server.admin('POST', `/signing-keys/${kid}/revoke`)
    await expect(jwtVerify(token, keysOf(server.issuer))).rejects.toMatchObject({ code: 'ERR_JWKS_NO_MATCHING_KEY' })
    await jwtVerify(await server.token(svc, audiences.EdDSA), keysOf(server.issuer))
  })

  it('fetches the key set once for many tokens', async () => {
    let fetched = 0
    const keys = createRemoteJWKSet(new URL('.well-known/jwks.json', server.issuer), {
      [customFetch]: (...args: Parameters<typeof fetch>) => {
        fetched += 1
        return fetch(...args)
      },
    })
    for (const audience of Object.values(audiences)) await jwtVerify(await server.token(svc, audience), keys)
    expect(fetched).toBe(1)
  })
})
