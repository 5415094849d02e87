import * as oauth from 'oauth4webapi'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { signingKeyPair } from './key-pair.ts'
import { audiences, type ServerUnderTest, scopes, startServerUnderTest } from './server-under-test.ts'

const insecure = { [oauth.allowInsecureRequests]: true }

let server: ServerUnderTest
let authorizationServer: oauth.AuthorizationServer
let svc: { clientId: string; clientSecret: string }

beforeAll(async () => {
  server = await startServerUnderTest()
  svc = await server.addClient('svc', {}, Object.values(audiences))
  const issuer = new URL(server.issuer)
  const answer = await oauth.discoveryRequest(issuer, { algorithm: 'oauth2', ...insecure })
  authorizationServer = await oauth.processDiscoveryResponse(issuer, answer)
})
afterAll(() => server.close())

async function token(authentication: oauth.ClientAuth, form: Record<string, string>, clientId = svc.clientId) {
  const client = { client_id: clientId }
  const answer = await oauth.clientCredentialsGrantRequest(
    authorizationServer,
    client,
    authentication,
    new URLSearchParams(form),
    insecure,
  )
  return oauth.processClientCredentialsResponse(authorizationServer, client, answer)
}

describe('oauth4webapi', () => {
  it('accepts the metadata of an issuer that ends in a slash', () => {
    expect(authorizationServer.issuer).toBe(server.issuer)
  })

  it.each([
    ['client_secret_basic', oauth.ClientSecretBasic],
    ['client_secret_post', oauth.ClientSecretPost],
  ])('gets a token with %s', async (_name, method) => {
    const answer = await token(method(svc.clientSecret), { audience: audiences.RS256 })
    expect(answer).toMatchObject({ token_type: 'bearer', expires_in: 3600, scope: scopes.join(' ') })
  })

  it('gets a token with private_key_jwt, and another one with a new assertion', async () => {
    const { privateKey, publicJwk } = await signingKeyPair('ES256')
    await server.addClient('key-client')
    await server.addKey('key-client', publicJwk)
    const method = () => oauth.PrivateKeyJwt({ key: privateKey, kid: publicJwk.kid })
    for (const _attempt of [1, 2]) {
      expect((await token(method(), {}, 'key-client')).scope).toBe(scopes.join(' '))
    }
  })

  it('is refused when it sends one assertion twice', async () => {
    const { privateKey, publicJwk } = await signingKeyPair('EdDSA')
    await server.addClient('replaying')
    await server.addKey('replaying', publicJwk)
    const method = oauth.PrivateKeyJwt(
      { key: privateKey, kid: publicJwk.kid },
      { [oauth.modifyAssertion]: (_header, payload) => Object.assign(payload, { jti: 'the same' }) },
    )
    await token(method, {}, 'replaying')
    await expect(token(method, {}, 'replaying')).rejects.toMatchObject({ status: 401 })
  })

  it('names the challenge of a refused client', async () => {
    await expect(token(oauth.ClientSecretBasic('wrong'), {})).rejects.toMatchObject({
      status: 401,
      cause: [{ scheme: 'basic' }],
    })
  })

  it.each(Object.entries(audiences))('validates our %s tokens as an API (RFC 9068)', async (_algorithm, audience) => {
    const { access_token } = await token(oauth.ClientSecretBasic(svc.clientSecret), { audience })
    const request = new Request('https://api.example.com/', { headers: { authorization: `Bearer ${access_token}` } })
    const claims = await oauth.validateJwtAccessToken(authorizationServer, request, audience, insecure)
    expect(claims).toMatchObject({ iss: server.issuer, client_id: 'svc', sub: 'svc', scope: scopes.join(' ') })
    await expect(
      oauth.validateJwtAccessToken(authorizationServer, request, 'https://other.example.com', insecure),
    ).rejects.toThrow('aud')
  })

  it('introspects a token, revokes it, and sees it inactive', async () => {
    const client = { client_id: svc.clientId }
    const authentication = oauth.ClientSecretBasic(svc.clientSecret)
    const { access_token } = await token(authentication, { audience: audiences.ES256 })
    const introspect = async () =>
      oauth.processIntrospectionResponse(
        authorizationServer,
        client,
        await oauth.introspectionRequest(authorizationServer, client, authentication, access_token, insecure),
      )
    expect(await introspect()).toMatchObject({ active: true, scope: scopes.join(' '), token_type: 'Bearer' })
    await oauth.processRevocationResponse(
      await oauth.revocationRequest(authorizationServer, client, authentication, access_token, insecure),
    )
    expect(await introspect()).toEqual({ active: false })
  })
})
