import { readFileSync } from 'node:fs'
import { createServer, type Server } from 'node:https'
import type { AddressInfo } from 'node:net'
import { createMtlsFetch } from '@countersign/client/mtls'
import { createGuard } from '@countersign/guard'
import { guardNode } from '@countersign/guard/node'
import { createRemoteJWKSet, jwtVerify } from 'jose'
import * as oauth from 'oauth4webapi'
import * as openid from 'openid-client'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { describeWith } from './describe-with.ts'
import { freePort } from './free-port.ts'
import { type CertificateFiles, createOpensslCa, type OpensslCa } from './openssl-ca.ts'
import { preparePython } from './python.ts'
import { audiences, type ServerUnderTest, scopes, startServerUnderTest } from './server-under-test.ts'

let ca: OpensslCa
let server: ServerUnderTest
let orders: CertificateFiles
let billing: CertificateFiles
let own: CertificateFiles

beforeAll(async () => {
  ca = createOpensslCa()
  const serving = ca.issue('/CN=localhost', 'DNS:localhost')
  server = await startServerUnderTest({
    COUNTERSIGN_MTLS_PORT: String(await freePort()),
    COUNTERSIGN_MTLS_HOST: 'localhost',
    COUNTERSIGN_MTLS_CERT_FILE: serving.cert,
    COUNTERSIGN_MTLS_KEY_FILE: serving.key,
    COUNTERSIGN_MTLS_CLIENT_CA_FILE: ca.caFile,
  })
  orders = ca.issue('/C=DE/O=Example, Inc./CN=orders', 'DNS:orders.example.com')
  billing = ca.issue('/C=DE/O=Example, Inc./CN=billing', 'DNS:billing.example.com')
  own = ca.selfSigned('/CN=shipping')
  await server.addClient('orders', { tls_client_auth: { san_dns: 'orders.example.com' } })
  await server.addClient('by-subject', { tls_client_auth: { subject_dn: 'CN=orders,O=Example\\, Inc.,C=DE' } })
  await server.addClient('shipping')
  await server.admin('POST', '/clients/shipping/keys', { certificate: readFileSync(own.cert, 'utf8') })
})
afterAll(async () => {
  await server.close()
  ca.remove()
})

/** As an MtlsFetch, which is what both libraries ask for. */
function showing({ cert, key }: CertificateFiles) {
  const certificate = { cert: readFileSync(cert, 'utf8'), key: readFileSync(key, 'utf8') }
  return createMtlsFetch({ certificate, ca: readFileSync(ca.caFile, 'utf8') })
}

describe('oauth4webapi', () => {
  async function token(clientId: string, files: CertificateFiles) {
    const insecure = { [oauth.allowInsecureRequests]: true }
    const issuer = new URL(server.issuer)
    const answer = await oauth.discoveryRequest(issuer, { algorithm: 'oauth2', ...insecure })
    const authorizationServer = await oauth.processDiscoveryResponse(issuer, answer)
    const client = { client_id: clientId, use_mtls_endpoint_aliases: true }
    const granted = await oauth.clientCredentialsGrantRequest(
      authorizationServer,
      client,
      oauth.TlsClientAuth(),
      new URLSearchParams(),
      { ...insecure, [oauth.customFetch]: showing(files) },
    )
    return oauth.processClientCredentialsResponse(authorizationServer, client, granted)
  }

  it.each([
    ['tls_client_auth by host name', 'orders', () => orders],
    ['tls_client_auth by subject', 'by-subject', () => orders],
    ['self_signed_tls_client_auth', 'shipping', () => own],
  ])('gets a token with %s, by the alias in the metadata, and jose verifies it', async (_name, clientId, files) => {
    const { access_token } = await token(clientId, files())
    const keys = createRemoteJWKSet(new URL(server.metadata.jwks_uri))
    const { payload } = await jwtVerify(access_token, keys, { issuer: server.issuer, audience: audiences.RS256 })
    expect(payload).toMatchObject({ client_id: clientId, cnf: { 'x5t#S256': showing(files()).credentialVersion() } })
  })

  it("is refused with another client's certificate of the same CA", async () => {
    await expect(token('orders', billing)).rejects.toMatchObject({ status: 401 })
    await expect(token('shipping', ca.selfSigned('/CN=shipping'))).rejects.toMatchObject({ status: 401 })
  })
})

describe('openid-client', () => {
  it('gets a token with tls_client_auth', async () => {
    const config = await openid.discovery(
      new URL(server.issuer),
      'orders',
      { use_mtls_endpoint_aliases: true },
      openid.TlsClientAuth(),
      { algorithm: 'oauth2', execute: [openid.allowInsecureRequests], [openid.customFetch]: showing(orders) },
    )
    const answer = await openid.clientCredentialsGrant(config, {})
    expect(answer).toMatchObject({ token_type: 'bearer', scope: scopes.join(' ') })
  })
})

await describeWith(preparePython, 'requests and PyJWT', (python) => {
  let api: Server
  beforeAll(async () => {
    const serving = ca.issue('/CN=localhost', 'DNS:localhost')
    const guard = createGuard({ issuer: server.issuer, audience: audiences.RS256 })
    api = createServer(
      {
        cert: readFileSync(serving.cert),
        key: readFileSync(serving.key),
        requestCert: true,
        rejectUnauthorized: false,
      },
      guardNode(guard, {}, (_request, response) => void response.end('ok')),
    )
    await new Promise<void>((done) => api.listen(0, 'localhost', done))
  })
  afterAll(() => {
    api.closeAllConnections()
    api.close()
  })

  it('get a bound token with cert=(crt, key), and our guard takes it with that certificate only', async () => {
    const url = `https://localhost:${(api.address() as AddressInfo).port}/`
    const audience = audiences.RS256
    const answers = await python.ask('mtls_client.py', {
      metadata: server.metadata,
      ca: ca.caFile,
      cases: [
        { ...orders, client_id: 'orders', audience, api: url },
        { ...own, client_id: 'shipping', audience },
        { ...billing, client_id: 'orders', audience },
      ],
    })
    expect(answers).toEqual([
      { status: 200, bound_to_ours: true, scope: scopes.join(' '), api: 200, api_without: 401 },
      { status: 200, bound_to_ours: true, scope: scopes.join(' ') },
      { status: 401, error: 'invalid_client' },
    ])
  })
})
