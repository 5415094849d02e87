import { execFileSync } from 'node:child_process'
import { X509Certificate } from 'node:crypto'
import { createTestAuthority } from '@countersign/spiffe/testing'
import { parseJwt } from '@countersign/tokens'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { signJwtSvid } from '../certificate-authorities/sign-jwt-svid.ts'
import { checkKeyCertificate } from '../clients/key-resource.ts'
import { updateClient } from '../clients/manage-clients.ts'
import { addClientKey } from '../clients/manage-keys.ts'
import { insertSvidRevocations } from '../revocation/revoke.ts'
import { type Answer, readAnswer } from '../server.fixture.ts'
import { type Credential, credential, type MtlsServer, startMtlsServer } from './mtls-server.fixture.ts'
import { spiffeAssertionType } from './spiffe-assertion-type.ts'

let server: MtlsServer
let secret: string
beforeAll(async () => {
  server = await startMtlsServer()
  secret = (await server.addClient('orders')).secret
})
afterAll(() => server.close())
beforeEach(() => patch({ spiffe_ids: [], tls_client_auth: null, auth_methods: null, disabled: false }))

function patch(change: Parameters<typeof updateClient>[1]) {
  return updateClient('orders', change, server.authority, {})
}

const form = { grant_type: 'client_credentials', client_id: 'orders' }

function claimsOf({ json }: Answer): Record<string, unknown> {
  return parseJwt(json.access_token).claims
}

function expectRefused(answer: Answer) {
  expect([answer.status, answer.json?.error]).toEqual([401, 'invalid_client'])
}

describe('tls_client_auth', () => {
  const own = () =>
    credential(server.clientCa, { commonName: 'orders', organization: 'Example', dnsNames: ['orders.example.org'] })

  it.each([[{ san_dns: 'Orders.example.org' }], [{ subject_dn: 'CN=orders, O=Example' }]] as const)(
    'takes a certificate with %j, and binds the token to it',
    async (matcher) => {
      await patch({ tls_client_auth: matcher })
      const answer = await server.postTls('/oauth/token', form, own())
      expect([answer.status, answer.json]).toMatchObject([200, { token_type: 'Bearer' }])
      expect(claimsOf(answer).cnf).toEqual({ 'x5t#S256': expect.stringMatching(/^[\w-]{43}$/) })
    },
  )

  it("refuses another client's certificate of the same CA (attack 50)", async () => {
    await patch({ tls_client_auth: { san_dns: 'orders.example.org' } })
    expectRefused(
      await server.postTls('/oauth/token', form, credential(server.clientCa, { dnsNames: ['billing.example.org'] })),
    )
    const inName = credential(server.clientCa, { commonName: 'orders.example.org', dnsNames: ['billing.example.org'] })
    expectRefused(await server.postTls('/oauth/token', form, inName))
  })

  it('refuses certificates of CAs that are not believed, for servers only, and with a SPIFFE ID', async () => {
    await patch({ tls_client_auth: { san_dns: 'orders.example.org' } })
    const names = { dnsNames: ['orders.example.org'] }
    expectRefused(await server.postTls('/oauth/token', form, credential(createTestAuthority('clients.test'), names)))
    const serverOnly = credential(server.clientCa, { ...names, extendedKeyUsage: ['server'] })
    expectRefused(await server.postTls('/oauth/token', form, serverOnly))
    const withId = credential(server.clientCa, { ...names, uris: ['spiffe://example.org/orders'] })
    expectRefused(await server.postTls('/oauth/token', form, withId))
  })

  it('needs client_id, a certificate, and a client that may use it', async () => {
    await patch({ tls_client_auth: { san_dns: 'orders.example.org' } })
    expectRefused(await server.postTls('/oauth/token', { grant_type: 'client_credentials' }, own()))
    expectRefused(await server.postTls('/oauth/token', form))
    expectRefused(await server.postTls('/oauth/token', { ...form, client_id: 'nobody' }, own()))
    await patch({ auth_methods: ['client_secret_basic'] })
    expectRefused(await server.postTls('/oauth/token', form, own()))
    await patch({ auth_methods: null, disabled: true })
    expectRefused(await server.postTls('/oauth/token', form, own()))
    await patch({ disabled: false })
    expect((await server.postTls('/oauth/token', form, own())).status).toBe(200)
    await patch({ auth_methods: ['tls_client_auth'] })
    expect((await server.postTls('/oauth/token', form, own())).status).toBe(200)
    await patch({ auth_methods: null, tls_client_auth: null })
    expectRefused(await server.postTls('/oauth/token', form, own()))
  })

  it('refuses a certificate that is revoked', async () => {
    await patch({ tls_client_auth: { san_dns: 'orders.example.org' } })
    const shown = own()
    const serial = new X509Certificate(shown.cert).serialNumber.toLowerCase()
    await end({ serial, expiresAt: server.authority.now() + 60 })
    expectRefused(await server.postTls('/oauth/token', form, shown))
    expect((await server.postTls('/oauth/token', form, own())).status).toBe(200)
  })

  it('leaves clients with a secret alone, who may come to the same listener', async () => {
    const basic = { authorization: `Basic ${Buffer.from(`orders:${secret}`).toString('base64')}` }
    for (const answer of [
      await server.postTls('/oauth/token', { ...form, client_secret: secret }, own()),
      await server.postTls('/oauth/token', form, own(), basic),
    ]) {
      expect([answer.status, claimsOf(answer).cnf]).toEqual([200, undefined])
    }
  })

  it('does not stand in for an assertion that is missing or wrong beside it', async () => {
    await patch({ tls_client_auth: { san_dns: 'orders.example.org' } })
    const type = { client_assertion_type: spiffeAssertionType }
    const missing = await server.postTls('/oauth/token', { ...form, ...type }, own())
    expect([missing.status, missing.json.error]).toEqual([400, 'invalid_request'])
    expectRefused(await server.postTls('/oauth/token', { ...form, ...type, client_assertion: 'a.b.c' }, own()))
    const untyped = await server.postTls('/oauth/token', { ...form, client_assertion: 'a.b.c' }, own())
    expect([untyped.status, untyped.json.error]).toEqual([400, 'invalid_request'])
  })
})

describe('self_signed_tls_client_auth', () => {
  it('takes the very certificate that is registered, and no other of the same name', async () => {
    const mine = selfSigned('orders')
    const other = selfSigned('orders')
    expectRefused(await server.postTls('/oauth/token', form, mine))
    await addClientKey('orders', checkKeyCertificate(mine.cert), undefined, server.authority, {})
    const answer = await server.postTls('/oauth/token', form, mine)
    expect([answer.status, claimsOf(answer).cnf]).toEqual([200, { 'x5t#S256': expect.any(String) }])
    expectRefused(await server.postTls('/oauth/token', form, other))
  })
})

describe('spiffe_x509', () => {
  it('takes an X.509-SVID of the client, and the token lives no longer than it', async () => {
    await patch({ spiffe_ids: ['spiffe://example.org/shop/*'] })
    const svid = server.svid('/shop/orders', { ttlSeconds: 120 })
    const answer = await server.postTls('/oauth/token', form, svid)
    expect(answer.status).toBe(200)
    expect(claimsOf(answer)).toMatchObject({ exp: svid.expiresAt, cnf: { 'x5t#S256': expect.any(String) } })
    expect(answer.json.expires_in).toBeLessThanOrEqual(120)
  })

  it("refuses other workloads' SVIDs, node identities, and IDs that others have signed (attack 55)", async () => {
    await patch({ spiffe_ids: ['spiffe://example.org/shop/*'] })
    for (const path of ['/shop', '/shopping', '/billing']) {
      expectRefused(await server.postTls('/oauth/token', form, server.svid(path)))
    }
    await patch({ spiffe_ids: ['spiffe://example.org/*'] })
    expectRefused(await server.postTls('/oauth/token', form, server.svid('/spire/agent/join_token/x')))
    const forged = credential(createTestAuthority('example.org'), { uris: ['spiffe://example.org/shop/orders'] })
    expectRefused(await server.postTls('/oauth/token', form, forged))
    const byPlainCa = credential(server.clientCa, { uris: ['spiffe://example.org/shop/orders'] })
    expectRefused(await server.postTls('/oauth/token', form, byPlainCa))
    expect((await server.postTls('/oauth/token', form, server.svid('/shop/orders'))).status).toBe(200)
  })

  it('refuses an SVID whose workload has ended', async () => {
    await patch({ spiffe_ids: ['spiffe://example.org/shop/*'] })
    const svid = server.svid('/shop/orders')
    expect((await server.postTls('/oauth/token', form, svid)).status).toBe(200)
    await end({ serial: svid.serialNumber, expiresAt: svid.expiresAt })
    expectRefused(await server.postTls('/oauth/token', form, svid))
  })
})

describe('spiffe_jwt', () => {
  const assertion = (token: string) => ({
    ...form,
    client_assertion_type: spiffeAssertionType,
    client_assertion: token,
  })
  const post = (token: string, more: Record<string, string> = {}) =>
    server.post('/oauth/token', { ...assertion(token), ...more })

  it('takes a JWT-SVID of the client, again and again while it lives, and the token lives no longer', async () => {
    await patch({ spiffe_ids: ['spiffe://example.org/orders'] })
    const { token, expiresAt } = server.jwtSvid('/orders', [server.issuer], { ttlSeconds: 60 })
    const [first, second] = [await post(token), await post(token)]
    expect([first.status, second.status]).toEqual([200, 200])
    expect(claimsOf(first)).toMatchObject({ exp: expiresAt, client_id: 'orders' })
    expect(claimsOf(first).cnf).toBeUndefined()
  })

  it('refuses other audiences, several audiences, other workloads, and other signers', async () => {
    await patch({ spiffe_ids: ['spiffe://example.org/orders'] })
    const audiences = [
      [`${server.issuer}oauth/token`],
      [server.issuer.replace(/\/$/, '')],
      [server.issuer, 'https://other'],
    ]
    for (const audience of audiences) expectRefused(await post(server.jwtSvid('/orders', audience).token))
    expectRefused(await post(server.jwtSvid('/billing', [server.issuer]).token))
    expectRefused(await post(createTestAuthority('example.org').jwtSvid('/orders', [server.issuer])))
    expectRefused(await post(createTestAuthority('other.org').jwtSvid('/orders', [server.issuer])))
    expectRefused(await post('no.jwt.atall'))
    expect((await post(server.jwtSvid('/orders', [server.issuer]).token)).status).toBe(200)
  })

  it('refuses one that has ended by time, however little ago, and one that is too long to be looked at', async () => {
    await patch({ spiffe_ids: ['spiffe://example.org/orders'] })
    const { ca } = server.authority.workloadIdentity!
    const order = { id: 'spiffe://example.org/orders', audience: [server.issuer], ttlSeconds: 60, jti: 'a' }
    const now = server.authority.now()
    expect((await post(signJwtSvid(ca, { ...order, now: now - 10 }).token)).status).toBe(200)
    expectRefused(await post(signJwtSvid(ca, { ...order, now: now - 61 }).token))
    expectRefused(await post(signJwtSvid(ca, { ...order, jti: 'a'.repeat(8192), now }).token))
  })

  it('is refused like any other for a client that is not there, disabled, or may not use it', async () => {
    await patch({ spiffe_ids: ['spiffe://example.org/orders'] })
    const { token } = server.jwtSvid('/orders', [server.issuer])
    expectRefused(await post(token, { client_id: 'nobody' }))
    await patch({ disabled: true })
    expectRefused(await post(token))
    await patch({ disabled: false, auth_methods: ['spiffe_x509'] })
    expectRefused(await post(token))
    await patch({ auth_methods: ['spiffe_jwt'] })
    expect((await post(token)).status).toBe(200)
  })

  it('refuses one whose workload has ended', async () => {
    await patch({ spiffe_ids: ['spiffe://example.org/orders'] })
    const svid = server.jwtSvid('/orders', [server.issuer])
    await end({ jti: svid.jti, expiresAt: svid.expiresAt })
    expectRefused(await post(svid.token))
  })

  it('never takes an access token or another assertion for an SVID, nor the other way round (attack 11)', async () => {
    await patch({ spiffe_ids: ['spiffe://example.org/orders'] })
    const { token } = server.jwtSvid('/orders', [server.issuer])
    const asBearer = {
      ...assertion(token),
      client_assertion_type: 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer',
    }
    expectRefused(await server.post('/oauth/token', asBearer))
    const accessToken = (await post(token)).json.access_token
    expectRefused(await post(accessToken))
    const both = await server.post('/oauth/token', assertion(token), { id: 'orders', secret, secretId: '' })
    expect([both.status, both.json.error]).toEqual([400, 'invalid_request'])
  })

  it('needs client_id and the assertion', async () => {
    const { token } = server.jwtSvid('/orders', [server.issuer])
    const { client_id: _, ...without } = assertion(token)
    expect((await server.post('/oauth/token', without)).json.error).toBe('invalid_request')
    expect((await post('')).json.error).toBe('invalid_request')
  })
})

describe('a bound token', () => {
  it('is told of by introspection, and reads the feed only together with its certificate', async () => {
    await patch({ spiffe_ids: ['spiffe://example.org/orders'] })
    const svid = server.svid('/orders')
    const { access_token: token } = (await server.postTls('/oauth/token', form, svid)).json
    const told = await server.postTls('/oauth/introspect', { token, client_id: 'orders' }, svid)
    expect(told.json).toMatchObject({ active: true, cnf: { 'x5t#S256': expect.any(String) } })
    const feed = await fetch(`${server.url}/oauth/revocations`, { headers: { authorization: `Bearer ${token}` } })
    expect([feed.status, ((await feed.json()) as { error: string }).error]).toEqual([401, 'invalid_token'])
  })
})

describe('the metadata', () => {
  it('names the methods, the aliases, and that tokens are bound', async () => {
    const metadata = (await server.app.inject('/.well-known/oauth-authorization-server')).json()
    expect(metadata).toMatchObject({
      token_endpoint_auth_methods_supported: [
        'client_secret_basic',
        'client_secret_post',
        'private_key_jwt',
        'tls_client_auth',
        'self_signed_tls_client_auth',
        'spiffe_x509',
        'spiffe_jwt',
      ],
      tls_client_certificate_bound_access_tokens: true,
      mtls_endpoint_aliases: { token_endpoint: `https://localhost:${server.mtls.port}/oauth/token` },
    })
  })
})

async function end(svid: { serial?: string; jti?: string; expiresAt: number }): Promise<void> {
  await server.authority.audit.recordChange({ type: 'svid.revoked', outcome: 'success' }, (transaction) =>
    insertSvidRevocations(transaction, [{ spiffeId: 'spiffe://example.org/orders', ...svid }], server.authority),
  )
}

/** As people make them. */
function selfSigned(name: string): Credential {
  const words = ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '1']
  const pem = String(
    execFileSync('openssl', [...words, '-subj', `/CN=${name}`, '-keyout', '-', '-out', '-'], { stdio: 'pipe' }),
  )
  const block = (label: string) => new RegExp(`-----BEGIN ${label}-----[^]*?-----END ${label}-----`).exec(pem)![0]
  return { key: block('PRIVATE KEY'), cert: block('CERTIFICATE') }
}

describe('a proxy that tells of certificates', () => {
  it('is believed from its address, and nobody else is', async () => {
    const behind = await startMtlsServer({
      app: { mtls: { proxies: { header: 'client-cert', addresses: ['127.0.0.1'] } } },
    })
    const open = await startMtlsServer({
      app: { mtls: { proxies: { header: 'client-cert', addresses: ['10.0.0.0/8'] } } },
    })
    for (const [one, expected] of [
      [behind, [200, undefined]],
      [open, [400, 'invalid_request']],
    ] as const) {
      await one.addClient('orders')
      await updateClient('orders', { spiffe_ids: ['spiffe://example.org/orders'] }, one.authority, {})
      const leaf = /-----BEGIN CERTIFICATE-----([^-]*)-/.exec(one.svid('/orders').cert)![1]!.replace(/\s/g, '')
      const answer = await readAnswer(
        await fetch(`${one.url}/oauth/token`, {
          method: 'POST',
          headers: { 'content-type': 'application/x-www-form-urlencoded', 'client-cert': `:${leaf}:` },
          body: new URLSearchParams(form).toString(),
        }),
      )
      expect([answer.status, answer.json.error]).toEqual(expected)
      await one.close()
    }
  })
})
