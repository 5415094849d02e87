import { afterEach, describe, expect, it } from 'vitest'
import { startTestServer, type TestServer } from '../server.fixture.ts'
import { rotateSigningKey } from '../signing-keys/lifecycle.ts'

let server: TestServer | undefined
afterEach(() => server?.close())

describe('the metadata (RFC 8414)', () => {
  it('names the issuer exactly as configured and every endpoint below it', async () => {
    server = await startTestServer({ issuer: 'https://auth.example.com/' })
    const metadata = (await server.app.inject('/.well-known/oauth-authorization-server')).json()
    expect(metadata).toMatchObject({
      issuer: 'https://auth.example.com/',
      token_endpoint: 'https://auth.example.com/oauth/token',
      jwks_uri: 'https://auth.example.com/.well-known/jwks.json',
      grant_types_supported: ['client_credentials'],
      token_endpoint_auth_methods_supported: ['client_secret_basic', 'client_secret_post', 'private_key_jwt'],
    })
    expect(metadata.token_endpoint_auth_signing_alg_values_supported).toContain('ES256')
    expect(metadata.token_endpoint_auth_signing_alg_values_supported).not.toContain('none')
  })

  it('stands where RFC 8414 and OpenID Connect look for an issuer with a path', async () => {
    server = await startTestServer({ issuer: 'https://example.com/tenants/a' })
    for (const path of [
      '/.well-known/oauth-authorization-server/tenants/a',
      '/tenants/a/.well-known/openid-configuration',
      '/.well-known/oauth-authorization-server',
    ]) {
      const answer = await server.app.inject(path)
      expect([path, answer.statusCode, answer.json().issuer]).toEqual([path, 200, 'https://example.com/tenants/a'])
    }
  })
})

describe('the key set', () => {
  it('is cacheable, unchanged while the keys are, and another after a rotation', async () => {
    server = await startTestServer()
    const first = await server.app.inject('/.well-known/jwks.json')
    expect(first.headers['cache-control']).toContain('max-age=300')
    const etag = first.headers.etag as string
    const ask = () => server!.app.inject({ url: '/.well-known/jwks.json', headers: { 'if-none-match': etag } })
    const unchanged = await ask()
    expect([unchanged.statusCode, unchanged.body]).toEqual([304, ''])
    await rotateSigningKey('ES256', server.authority.keys)
    const changed = await ask()
    expect([changed.statusCode, changed.json().keys.length]).toEqual([200, 2])
  })

  it('holds public members only', async () => {
    server = await startTestServer()
    const [key] = (await server.app.inject('/.well-known/jwks.json')).json().keys
    expect(Object.keys(key).sort()).toEqual(['alg', 'crv', 'kid', 'kty', 'use', 'x', 'y'])
  })
})

describe('readiness', () => {
  it('is given while a token could be issued', async () => {
    server = await startTestServer()
    expect((await server.app.inject('/readyz')).json()).toEqual({ status: 'ready' })
    expect((await server.app.inject('/healthz')).json()).toEqual({ status: 'ok' })
  })
})
