import { generateKeyPairSync } from 'node:crypto'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { signClientAssertion } from '@countersign/tokens'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { type AdminApiUnderTest, openAdminApi } from '../admin/admin-api.fixture.ts'
import { adminAudience } from '../admin/admin-scopes.ts'

const { privateKey, publicKey } = generateKeyPairSync('ed25519')
let server: AdminApiUnderTest
let asked = 0
const keys = createServer((_request, response) => {
  asked += 1
  response.setHeader('content-type', 'application/json')
  response.end(JSON.stringify({ keys: [{ ...publicKey.export({ format: 'jwk' }), kid: 'one', alg: 'EdDSA' }] }))
})
let url: string

beforeEach(async () => {
  asked = 0
  await new Promise<void>((resolve) => keys.listen(0, '127.0.0.1', resolve))
  url = `http://127.0.0.1:${(keys.address() as AddressInfo).port}/jwks.json`
})
afterEach(async () => {
  await server.close()
  keys.closeAllConnections()
  await new Promise((resolve) => keys.close(resolve))
})

async function askForToken(): Promise<number> {
  const assertion = signClientAssertion({
    clientId: 'svc-a',
    audience: server.authority.issuer,
    key: privateKey,
    kid: 'one',
    algorithm: 'EdDSA',
    now: server.authority.now(),
  })
  const answer = await server.app.inject({
    method: 'POST',
    url: '/oauth/token',
    headers: { 'content-type': 'application/x-www-form-urlencoded' },
    payload: new URLSearchParams({
      grant_type: 'client_credentials',
      client_assertion_type: 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer',
      client_assertion: assertion,
    }).toString(),
  })
  return answer.statusCode
}

async function setUp(allowLoopbackJwksUri: boolean): Promise<void> {
  server = await openAdminApi({ allowLoopbackJwksUri })
  await server.call('POST', '/clients', { id: 'svc-a' })
  await server.call('PUT', `/clients/svc-a/grants/${adminAudience}`, { scopes: ['apis:read'] })
}

it('lets a client in with a key that it publishes over http on this machine, where that was allowed', async () => {
  await setUp(true)
  expect((await server.call('PATCH', '/clients/svc-a', { jwks_uri: url })).status).toBe(200)
  expect(await askForToken()).toBe(200)
  for (const elsewhere of ['http://10.0.0.1/jwks', 'http://keys.example.com/', 'https://127.0.0.1/jwks']) {
    expect((await server.call('PATCH', '/clients/svc-a', { jwks_uri: elsewhere })).status).toBe(422)
  }
})

it('asks no address of this machine otherwise, not even for a jwks_uri that got into the store', async () => {
  await setUp(false)
  expect((await server.call('PATCH', '/clients/svc-a', { jwks_uri: url })).status).toBe(422)
  await server.authority.store.database
    .updateTable('clients')
    .set({ jwks_uri: url })
    .where('id', '=', 'svc-a')
    .execute()
  expect(await askForToken()).toBe(401)
  expect(asked).toBe(0)
})
