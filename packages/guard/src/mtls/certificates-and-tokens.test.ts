import type { X509Svid } from '@countersign/spiffe'
import { createTestAuthority } from '@countersign/spiffe/testing'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { createGuard } from '../guard.ts'
import type { GuardOptions } from '../guard-options.ts'
import { audience, startIssuer, type TestIssuer } from '../issuer.fixture.ts'
import { guardNode } from '../node.ts'
import { readPeerCertificate } from '../peer-certificate/peer-certificate.ts'
import type { Requirement } from '../requirement.ts'
import type { RevocationSource } from '../revocation/revocation-source.ts'
import { callTls, credentialOf, listenTls, type TlsServer } from './tls-calls.fixture.ts'

const example = createTestAuthority('example.org')
const partner = createTestAuthority('partner.org')
const bundles = new Map([
  ['example.org', example.bundle],
  ['partner.org', partner.bundle],
])
const ordersSvid = example.x509Svid('/orders')
const orders = credentialOf(ordersSvid)
const billing = credentialOf(example.x509Svid('/billing'))
const allow = { trustDomains: ['example.org'] }

let issuer: TestIssuer
const running: TlsServer[] = []
beforeAll(async () => {
  issuer = await startIssuer()
})
afterAll(() => issuer.stop())
afterEach(async () => {
  for (const server of running.splice(0)) await server.close()
})

async function serve(options: Partial<GuardOptions>, requirement: Requirement = {}): Promise<TlsServer> {
  const guard = createGuard({ realm: 'stock', ...options })
  const server = await listenTls(
    guardNode(guard, requirement, ({ caller }, response) => {
      response.end(JSON.stringify(caller))
    }),
  )
  running.push(server)
  return server
}

function bearer(token: string): { headers: Record<string, string> } {
  return { headers: { authorization: `Bearer ${token}` } }
}

function thumbprintOf(svid: X509Svid): string {
  return readPeerCertificate([svid.certificates[0]!.der])!.thumbprint
}

async function refused(call: ReturnType<typeof callTls>, status: number, reason: string) {
  const answer = await call
  expect([answer.status, answer.json.reason]).toEqual([status, reason])
}

describe('an access token that is bound to a certificate (RFC 8705 section 3)', () => {
  const bound = () => issuer.token({ cnf: { 'x5t#S256': thumbprintOf(ordersSvid) } })

  it('passes on a connection of that certificate, with no further set-up of the guard', async () => {
    const server = await serve({ issuer: issuer.issuer, audience })
    const answer = await callTls(server, orders, bearer(bound()))
    expect([answer.status, answer.json]).toMatchObject([
      200,
      { method: 'access_token', clientId: 'svc-orders', confirmation: { 'x5t#S256': thumbprintOf(ordersSvid) } },
    ])
  })

  it('is refused without a certificate, and with another one, also when it is remembered', async () => {
    const server = await serve({ issuer: issuer.issuer, audience })
    const token = bound()
    expect((await callTls(server, orders, bearer(token))).status).toBe(200)
    await refused(callTls(server, {}, bearer(token)), 401, 'proof_required')
    await refused(callTls(server, billing, bearer(token)), 401, 'wrong_certificate')
    await refused(callTls(server, credentialOf(example.x509Svid('/orders')), bearer(token)), 401, 'wrong_certificate')
    expect((await callTls(server, {}, bearer(token))).headers['www-authenticate']).toMatch(/error="invalid_token"/)
  })

  it('is refused where nobody knows the connection', async () => {
    const guard = createGuard({ issuer: issuer.issuer, audience })
    await expect((async () => guard.verifyToken(bound()))()).rejects.toMatchObject({ reason: 'proof_required' })
    const headers = { authorization: `Bearer ${bound()}` }
    await expect((async () => guard.verify({ headers }))()).rejects.toMatchObject({ reason: 'proof_required' })
    const peerCertificates = [ordersSvid.certificates[0]!.der]
    expect(await guard.verify({ headers, peerCertificates })).toMatchObject({ clientId: 'svc-orders' })
  })

  it.each([
    [{ jkt: 'a'.repeat(43) }],
    [{ 'x5t#S256': 'a'.repeat(43), jkt: 'a'.repeat(43) }],
    [{ 'x5t#S256': 'short' }],
    [{ 'x5t#S256': ['a'.repeat(43)] }],
    [{}],
  ])('is refused when it is bound to %j, which is not proven here', async (cnf) => {
    const server = await serve({ issuer: issuer.issuer, audience })
    await refused(callTls(server, orders, bearer(issuer.token({ cnf }))), 401, 'proof_required')
  })

  it('is refused once the certificate is revoked', async () => {
    const revoked = new Set<string>()
    const server = await serve({ issuer: issuer.issuer, audience, revocations: revocations({ revoked }) })
    expect((await callTls(server, orders, bearer(bound()))).status).toBe(200)
    revoked.add(ordersSvid.certificates[0]!.serialNumber)
    await refused(callTls(server, orders, bearer(bound())), 401, 'revoked_certificate')
  })
})

describe('a certificate and an access token together', () => {
  const options = () => ({ issuer: issuer.issuer, audience, mtls: { bundles, allow } })
  const clientOf = () => 'svc-orders'

  it('pass when both name the same client, and the token says what he may do', async () => {
    const server = await serve(
      { ...options(), mtls: { bundles, allow, clientOf } },
      { mtls: 'required', bearer: 'required' },
    )
    const answer = await callTls(server, orders, bearer(issuer.token()))
    expect([answer.status, answer.json]).toMatchObject([
      200,
      {
        method: 'access_token',
        clientId: 'svc-orders',
        spiffeId: 'spiffe://example.org/orders',
        scopes: ['read:orders', 'write:orders'],
        confirmation: { 'x5t#S256': thumbprintOf(ordersSvid) },
      },
    ])
  })

  it('pass when the token is bound to the certificate, whatever they call the client', async () => {
    const server = await serve(options(), { mtls: 'required', bearer: 'required' })
    const token = issuer.token({ cnf: { 'x5t#S256': thumbprintOf(ordersSvid) } })
    expect((await callTls(server, orders, bearer(token))).json).toMatchObject({
      clientId: 'svc-orders',
      spiffeId: 'spiffe://example.org/orders',
    })
    await refused(callTls(server, billing, bearer(token)), 401, 'wrong_certificate')
  })

  it('are refused when they name different clients, also where each would do by itself', async () => {
    const strict = await serve(options(), { mtls: 'required', bearer: 'required' })
    await refused(callTls(strict, orders, bearer(issuer.token())), 401, 'different_clients')
    const either = await serve(options())
    await refused(callTls(either, orders, bearer(issuer.token())), 401, 'different_clients')
    expect((await callTls(either, orders)).json.method).toBe('mtls')
    expect((await callTls(either, {}, bearer(issuer.token()))).json.method).toBe('access_token')
  })

  it('are both asked for where both are required', async () => {
    const server = await serve(
      { ...options(), mtls: { bundles, allow, clientOf } },
      { mtls: 'required', bearer: 'required', scopes: ['read:orders'] },
    )
    await refused(callTls(server, orders), 401, 'missing_credential')
    await refused(callTls(server, {}, bearer(issuer.token())), 401, 'missing_certificate')
    await refused(callTls(server), 401, 'missing_certificate')
  })

  it('are refused when one of them is wrong, however right the other is', async () => {
    const server = await serve({ ...options(), mtls: { bundles, allow, clientOf } })
    await refused(
      callTls(server, credentialOf(partner.x509Svid('/orders')), bearer(issuer.token())),
      403,
      'caller_not_allowed',
    )
    const stranger = credentialOf(createTestAuthority('example.org').x509Svid('/orders'))
    await refused(callTls(server, stranger, bearer(issuer.token())), 401, 'untrusted_certificate')
    const expired = issuer.token({ iat: 1_000_000, exp: 1_000_060 })
    await refused(callTls(server, orders, bearer(expired)), 401, 'expired_token')
    await refused(callTls(server, orders, { headers: { authorization: 'Bearer' } }), 400, 'malformed_authorization')
  })

  it('leaves the certificate alone where the route ignores it, but not a binding', async () => {
    const server = await serve(options(), { mtls: 'ignored' })
    expect((await callTls(server, orders, bearer(issuer.token()))).status).toBe(200)
    const token = issuer.token({ cnf: { 'x5t#S256': thumbprintOf(ordersSvid) } })
    await refused(callTls(server, billing, bearer(token)), 401, 'wrong_certificate')
  })

  it('is content with the certificate where the route ignores the token', async () => {
    const server = await serve(options(), { bearer: 'ignored' })
    expect((await callTls(server, orders, bearer('whatever'))).json.method).toBe('mtls')
    await refused(callTls(server, {}, bearer(issuer.token())), 401, 'missing_certificate')
  })
})

describe('a JWT-SVID as Bearer token', () => {
  const jwtSvid = { bundles, audience, allow: { spiffeIds: ['spiffe://example.org/orders'] } }

  it('yields the caller', async () => {
    const answer = await callTls(
      await serve({ jwtSvid }),
      {},
      bearer(example.jwtSvid('/orders', [audience], { jti: 'one' })),
    )
    expect([answer.status, answer.json]).toMatchObject([
      200,
      {
        method: 'jwt_svid',
        clientId: 'spiffe://example.org/orders',
        spiffeId: 'spiffe://example.org/orders',
        audience,
        issuer: 'spiffe://example.org',
        tokenId: 'one',
        scopes: [],
      },
    ])
  })

  it('is refused for another audience, from another trust domain, and for an ID that is not allowed', async () => {
    const server = await serve({ jwtSvid })
    await refused(callTls(server, {}, bearer(example.jwtSvid('/orders', [`${audience}/`]))), 401, 'invalid_svid')
    await refused(callTls(server, {}, bearer(example.jwtSvid('/billing', [audience]))), 403, 'caller_not_allowed')
    await refused(callTls(server, {}, bearer(partner.jwtSvid('/orders', [audience]))), 403, 'caller_not_allowed')
    const stranger = createTestAuthority('example.org').jwtSvid('/orders', [audience])
    await refused(callTls(server, {}, bearer(stranger)), 401, 'untrusted_svid')
  })

  it('is never taken for an access token, nor an access token for one (attack 11)', async () => {
    const both = await serve({ issuer: issuer.issuer, audience, jwtSvid })
    expect((await callTls(both, {}, bearer(issuer.token()))).json.method).toBe('access_token')
    expect((await callTls(both, {}, bearer(example.jwtSvid('/orders', [audience])))).json.method).toBe('jwt_svid')
    const disguised = issuer.token({ sub: 'spiffe://example.org/orders' }, { typ: 'JWT' })
    await refused(callTls(both, {}, bearer(disguised)), 401, 'untrusted_svid')
    const tokensOnly = await serve({ issuer: issuer.issuer, audience })
    await refused(callTls(tokensOnly, {}, bearer(example.jwtSvid('/orders', [audience]))), 401, 'wrong_issuer')
    const svidsOnly = await serve({ jwtSvid })
    await refused(callTls(svidsOnly, {}, bearer(issuer.token())), 401, 'invalid_svid')
  })

  it('must be of the workload whose certificate came with it', async () => {
    const server = await serve({ jwtSvid, mtls: { bundles, allow } }, { mtls: 'required', bearer: 'required' })
    const token = example.jwtSvid('/orders', [audience])
    expect((await callTls(server, orders, bearer(token))).json).toMatchObject({ method: 'jwt_svid' })
    await refused(callTls(server, billing, bearer(token)), 401, 'different_clients')
    const named = { bundles, allow, clientOf: () => 'one-client' }
    const sameName = await serve({ jwtSvid: { ...jwtSvid, clientOf: () => 'one-client' }, mtls: named })
    await refused(callTls(sameName, billing, bearer(token)), 401, 'different_clients')
  })

  it('is refused after its end, also when it is remembered, and once it is revoked', async () => {
    let now = Date.now()
    const revokedIds = new Set<string>()
    const server = await serve({ jwtSvid, now: () => now, revocations: revocations({ revokedIds }) })
    const token = example.jwtSvid('/orders', [audience], { jti: 'one', lifetimeSeconds: 30 })
    expect((await callTls(server, {}, bearer(token))).status).toBe(200)
    revokedIds.add('one')
    await refused(callTls(server, {}, bearer(token)), 401, 'revoked_token')
    revokedIds.clear()
    expect((await callTls(server, {}, bearer(token))).status).toBe(200)
    now += 60_000
    await refused(callTls(server, {}, bearer(token)), 401, 'expired_token')
  })

  it.each([
    [{ bundles, allow: jwtSvid.allow }, /audience/],
    [{ audience, allow: jwtSvid.allow }, /bundles/],
    [{ bundles, audience }, /allow/],
    [{ bundles, audience, allow: { dnsNames: ['a'] } }, /dnsNames/],
  ])('needs options that are safe: %#', (options, message) => {
    expect(() => createGuard({ jwtSvid: options as never })).toThrow(message)
  })
})

function revocations({ revoked, revokedIds }: { revoked?: Set<string>; revokedIds?: Set<string> }): RevocationSource {
  return {
    isRevoked: () => false,
    isRevokedSerial: (serial) => revoked?.has(serial) === true,
    isRevokedJwtSvid: ({ jti }) => jti !== undefined && revokedIds?.has(jti) === true,
    start() {},
    async stop() {},
  }
}
