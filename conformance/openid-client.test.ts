import * as client from 'openid-client'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { signingKeyPair } from './key-pair.ts'
import { administrator, audiences, type ServerUnderTest, scopes, startServerUnderTest } from './server-under-test.ts'

let server: ServerUnderTest
let svc: { clientId: string; clientSecret: string }

beforeAll(async () => {
  server = await startServerUnderTest()
  svc = await server.addClient('svc', {}, Object.values(audiences))
})
afterAll(() => server.close())

/** openid-client refuses plain http unless told otherwise. */
function discover(
  { clientId, clientSecret }: { clientId: string; clientSecret?: string },
  authentication: client.ClientAuth,
  algorithm: 'oauth2' | 'oidc' = 'oauth2',
) {
  return client.discovery(new URL(server.issuer), clientId, { client_secret: clientSecret }, authentication, {
    algorithm,
    execute: [client.allowInsecureRequests],
  })
}

describe('openid-client', () => {
  it.each(['oauth2', 'oidc'] as const)('discovers an issuer that ends in a slash (%s)', async (algorithm) => {
    const config = await discover(svc, client.ClientSecretBasic(), algorithm)
    expect(config.serverMetadata().issuer).toBe(server.issuer)
    expect(config.serverMetadata().token_endpoint).toBe(`${server.issuer}oauth/token`)
  })

  it.each([
    ['client_secret_basic', client.ClientSecretBasic()],
    ['client_secret_post', client.ClientSecretPost()],
  ])('gets a token with %s', async (_name, authentication) => {
    const config = await discover(svc, authentication)
    const answer = await client.clientCredentialsGrant(config, { audience: audiences.ES256, scope: 'read:things' })
    expect(answer).toMatchObject({ token_type: 'bearer', expires_in: 3600, scope: 'read:things' })
  })

  it('asks by resource, and for several scopes', async () => {
    const config = await discover(svc, client.ClientSecretBasic())
    const answer = await client.clientCredentialsGrant(config, { resource: audiences.RS256, scope: scopes.join(' ') })
    expect(answer.scope).toBe(scopes.join(' '))
  })

  it('escapes a secret with unusual characters in Basic credentials', async () => {
    const config = await discover(administrator, client.ClientSecretBasic())
    const answer = await client.clientCredentialsGrant(config, { audience: 'urn:countersign:admin' })
    expect(answer.access_token).toMatch(/^ey/)
  })

  it.each(['ES256', 'RS256', 'EdDSA', 'PS256'] as const)(
    'gets a token with private_key_jwt (%s)',
    async (algorithm) => {
      const { privateKey, publicJwk } = await signingKeyPair(algorithm)
      const clientId = `key-${algorithm.toLowerCase()}`
      await server.addClient(clientId)
      await server.addKey(clientId, publicJwk)
      const config = await discover({ clientId }, client.PrivateKeyJwt({ key: privateKey, kid: publicJwk.kid }))
      const answer = await client.clientCredentialsGrant(config, { audience: audiences.RS256 })
      expect(answer.scope).toBe(scopes.join(' '))
    },
  )

  it('reads what a refusal says', async () => {
    const config = await discover({ ...svc, clientSecret: 'wrong' }, client.ClientSecretPost())
    await expect(client.clientCredentialsGrant(config)).rejects.toMatchObject({
      status: 401,
      cause: [{ scheme: 'basic' }],
    })
    const granted = await discover(svc, client.ClientSecretPost())
    await expect(
      client.clientCredentialsGrant(granted, { audience: 'https://unknown.example.com' }),
    ).rejects.toMatchObject({ status: 400, error: 'invalid_target' })
    await expect(
      client.clientCredentialsGrant(granted, { audience: audiences.ES256, scope: 'delete:things' }),
    ).rejects.toMatchObject({ status: 400, error: 'invalid_scope' })
  })

  it('introspects a token, revokes it, and sees it inactive', async () => {
    const config = await discover(svc, client.ClientSecretBasic())
    const { access_token } = await client.clientCredentialsGrant(config, { audience: audiences.EdDSA })
    const before = await client.tokenIntrospection(config, access_token)
    expect(before).toMatchObject({ active: true, client_id: 'svc', iss: server.issuer, aud: audiences.EdDSA })
    await client.tokenRevocation(config, access_token)
    expect(await client.tokenIntrospection(config, access_token)).toEqual({ active: false })
  })
})
