import { createServer, type Server } from 'node:http'
import { createRemoteJWKSet, jwtVerify } from 'jose'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { describeWith } from './describe-with.ts'
import { type GoRequest, prepareGo } from './go.ts'
import { administrator, audiences, type ServerUnderTest, scopes, startServerUnderTest } from './server-under-test.ts'

await describeWith(prepareGo, 'golang.org/x/oauth2 and net/http', (go) => {
  let server: ServerUnderTest
  let echo: Server
  let svc: { clientId: string; clientSecret: string }

  beforeAll(async () => {
    server = await startServerUnderTest()
    svc = await server.addClient('svc')
    echo = createServer((request, response) => response.end(request.headers.authorization))
    await new Promise<void>((resolve) => echo.listen(0, '127.0.0.1', resolve))
  })
  afterAll(async () => {
    echo.close()
    await server.close()
  })

  const request = (style: GoRequest['style'], more: Partial<GoRequest> = {}): GoRequest => ({
    style,
    token_url: server.metadata.token_endpoint,
    client_id: svc.clientId,
    client_secret: svc.clientSecret,
    ...more,
  })

  it.each(['auto', 'header', 'params'] as const)('gets a token by clientcredentials, style %s', async (style) => {
    const answer = await go(request(style, { audience: audiences.RS256, scopes: ['read:things'] }))
    expect(answer).toMatchObject({ token_type: 'Bearer', expires_in: 3600, scope: 'read:things' })
  })

  it('gets a token by a bare http.PostForm that names no audience', async () => {
    const answer = await go(request('form'))
    expect(answer).toMatchObject({ status: 200, token_type: 'Bearer', scope: scopes.join(' ') })
    const keys = createRemoteJWKSet(new URL(server.metadata.jwks_uri))
    await jwtVerify(answer.access_token as string, keys, { issuer: server.issuer, audience: audiences.RS256 })
  })

  it('escapes a secret with unusual characters in Basic credentials', async () => {
    const { clientId: client_id, clientSecret: client_secret } = administrator
    const answer = await go(request('header', { client_id, client_secret, audience: 'urn:countersign:admin' }))
    expect(answer).toMatchObject({ status: 200, token_type: 'Bearer' })
  })

  it('detects the style only after a refusal, and then takes the second answer', async () => {
    // A client that may not use Basic makes the library try again with the secret in the form.
    const post = await server.addClient('post-only', { auth_methods: ['client_secret_post'] })
    const answer = await go(request('auto', { client_id: post.clientId, client_secret: post.clientSecret }))
    expect(answer).toMatchObject({ status: 200, token_type: 'Bearer' })
  })

  it('attaches the token by itself', async () => {
    const { port } = echo.address() as { port: number }
    const answer = await go(request('auto', { resource_url: `http://127.0.0.1:${port}/` }))
    expect(answer.authorization).toMatch(/^Bearer ey/)
  })

  it.each(['auto', 'header', 'params', 'form'] as const)('reads what a refusal says, style %s', async (style) => {
    expect(await go(request(style, { client_secret: 'wrong' }))).toEqual({ status: 401, error: 'invalid_client' })
  })
})
