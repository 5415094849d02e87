import { once } from 'node:events'
import { createServer, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { type GeneratedKey, generateSigningKey, signClientAssertion } from '@countersign/tokens'
import { afterAll, beforeAll, expect, it } from 'vitest'
import type { ClientRecord } from '../clients/client.ts'
import { deleteClient, updateClient } from '../clients/manage-clients.ts'
import { removeGrant } from '../clients/manage-grants.ts'
import { startTestServer, type TestServer, testAudience } from '../server.fixture.ts'
import { type AuthenticatedClient, ClientAuthFailure } from './client-auth-method.ts'
import { stillProven } from './still-proven.ts'

const publishedAt = 'https://keys.example/a'

let server: TestServer
let keyServer: Server
let key: GeneratedKey
let address: string

beforeAll(async () => {
  key = await generateSigningKey('ES256')
  keyServer = createServer()
  keyServer.listen(0, '127.0.0.1')
  await once(keyServer, 'listening')
  address = `http://127.0.0.1:${(keyServer.address() as AddressInfo).port}`
  server = await startTestServer({ app: { allowLoopbackJwksUri: true } })
})
afterAll(async () => {
  await server.close()
  keyServer.close()
})

/** Asks for a token, and does something once the server waits for the client's keys. */
async function askMeanwhile(id: string, meanwhile: () => Promise<unknown>) {
  await server.addClient(id)
  await updateClient(id, { jwks_uri: `${address}/${id}` }, server.authority, {})
  const asked = once(keyServer, 'request')
  const answer = server.post('/oauth/token', {
    grant_type: 'client_credentials',
    client_assertion_type: 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer',
    client_assertion: signClientAssertion({
      clientId: id,
      audience: server.issuer,
      key: key.privateKey,
      kid: key.kid,
      algorithm: 'ES256',
      now: Math.floor(Date.now() / 1000),
    }),
  })
  const [, response] = (await asked) as [unknown, ServerResponse]
  await meanwhile()
  response.setHeader('content-type', 'application/json').end(JSON.stringify({ keys: [key.publicJwk] }))
  return answer
}

const change = (id: string, patch: Parameters<typeof updateClient>[1]) => () =>
  updateClient(id, patch, server.authority, {})

it('gives a token to a client whose keys were waited for', async () => {
  expect((await askMeanwhile('svc-patient', async () => {})).status).toBe(200)
  expect((await askMeanwhile('svc-renamed', change('svc-renamed', { name: 'New name' }))).status).toBe(200)
  const limited = change('svc-limited', { auth_methods: ['private_key_jwt'] })
  expect((await askMeanwhile('svc-limited', limited)).status).toBe(200)
})

it.each([
  ['was disabled', { disabled: true }],
  ['was limited to another method', { auth_methods: ['client_secret_basic' as const] }],
  ['no longer has its keys there', { jwks_uri: null }],
])('gives none to a client that %s while its keys were waited for', async (what, patch) => {
  const id = `svc-${what.replaceAll(/[^a-z]+/g, '-')}`
  const answer = await askMeanwhile(id, change(id, patch))
  expect([answer.status, answer.json.error]).toEqual([401, 'invalid_client'])
})

it('gives none to a client that was deleted while its keys were waited for', async () => {
  const answer = await askMeanwhile('svc-gone', () => deleteClient('svc-gone', server.authority, {}))
  expect([answer.status, answer.json.error]).toEqual([401, 'invalid_client'])
})

it('gives nothing for a grant that was taken away meanwhile', async () => {
  const answer = await askMeanwhile('svc-stripped', () =>
    removeGrant('svc-stripped', testAudience, server.authority, {}),
  )
  expect([answer.status, answer.json.error]).toEqual([400, 'invalid_target'])
})

it.each<[string, Partial<AuthenticatedClient>, Partial<ClientRecord>, boolean]>([
  ['a secret that is still there', { credentialId: 'secret' }, { secrets: [{ id: 'secret' }] as never }, true],
  ['a secret that was removed', { credentialId: 'secret' }, {}, false],
  ['a key that was removed, though there is a jwks_uri', { credentialId: 'key' }, { jwksUri: publishedAt }, false],
  ['a key of the same jwks_uri', { credentialId: 'jwks_uri#a' }, { jwksUri: publishedAt }, true],
  ['a key of another jwks_uri', { credentialId: 'jwks_uri#a' }, { jwksUri: 'https://keys.example/b' }, false],
  ['a name that it still has', { credentialId: 'name', isHeldBy: () => true }, {}, true],
  [
    'a name that it has lost',
    { credentialId: 'secret', isHeldBy: () => false },
    { secrets: [{ id: 'secret' }] as never },
    false,
  ],
])('judges %s', async (_credential, authenticated, now, isProven) => {
  const before = { id: 'svc', disabled: false, secrets: [], keys: [], jwksUri: publishedAt } as unknown as ClientRecord
  const proven = stillProven(
    { client: before, method: 'any', credentialId: '', ...authenticated },
    { findClient: () => ({ ...before, jwksUri: undefined, ...now }) },
  )
  if (isProven) expect((await proven).client).not.toBe(before)
  else await expect(proven).rejects.toThrow(ClientAuthFailure)
})
