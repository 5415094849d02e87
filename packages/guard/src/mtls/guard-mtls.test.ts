import { Agent } from 'node:https'
import { SpiffeError, toPem } from '@countersign/spiffe'
import { createTestAuthority, type TestAuthority } from '@countersign/spiffe/testing'
import { afterEach, describe, expect, it } from 'vitest'
import { createGuard, type Guard } from '../guard.ts'
import type { GuardOptions } from '../guard-options.ts'
import { guardNode } from '../node.ts'
import type { Requirement } from '../requirement.ts'
import type { RevocationSource } from '../revocation/revocation-source.ts'
import {
  type Credential,
  callTls,
  credentialOf,
  listenTls,
  plainCredential,
  type TlsServer,
} from './tls-calls.fixture.ts'

const example = createTestAuthority('example.org')
const partner = createTestAuthority('partner.org')
const bundles = new Map([
  ['example.org', example.bundle],
  ['partner.org', partner.bundle],
])
const orders = credentialOf(example.x509Svid('/orders'))

const running: TlsServer[] = []
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

const allow = { spiffeIds: ['spiffe://example.org/orders', 'spiffe://example.org/batch/*'] }

describe('a guard that takes X.509-SVIDs', () => {
  it('yields the caller by his SPIFFE ID', async () => {
    const svid = example.x509Svid('/orders')
    const answer = await callTls(await serve({ mtls: { bundles, allow } }), credentialOf(svid))
    expect([answer.status, answer.json]).toMatchObject([
      200,
      {
        method: 'mtls',
        clientId: 'spiffe://example.org/orders',
        subject: 'spiffe://example.org/orders',
        spiffeId: 'spiffe://example.org/orders',
        issuer: 'spiffe://example.org',
        audience: 'stock',
        scopes: [],
        expiresAt: svid.expiresAt,
        confirmation: { 'x5t#S256': answer.json.credentialId },
        claims: { serialNumber: svid.certificates[0]!.serialNumber },
      },
    ])
  })

  it('lets the listed IDs through, by whole segments, and answers 403 to others', async () => {
    const server = await serve({ mtls: { bundles, allow } })
    const status = async (path: string, authority = example) =>
      (await callTls(server, credentialOf(authority.x509Svid(path)))).status
    expect(await status('/batch/nightly')).toBe(200)
    expect(await status('/batch/nightly/eu')).toBe(200)
    expect(await status('/batch')).toBe(403)
    expect(await status('/batches/nightly')).toBe(403)
    expect(await status('/orders/x')).toBe(403)
    expect(await status('/orders', partner)).toBe(403)
  })

  it('lets a whole trust domain through where it says so', async () => {
    const server = await serve({ mtls: { bundles, allow: { trustDomains: ['partner.org'] } } })
    expect((await callTls(server, credentialOf(partner.x509Svid('/anything')))).status).toBe(200)
    expect((await callTls(server, orders)).status).toBe(403)
  })

  it("does not take a node's agent, or the authority itself, for a workload of its trust domain", async () => {
    const agent = credentialOf(example.x509Svid('/spire/agent/x509pop/3f2c'))
    const authority = credentialOf(example.x509Svid('/spire/server'))
    for (const everybody of [{ trustDomains: ['example.org'] }, { spiffeIds: ['spiffe://example.org/*'] }]) {
      const server = await serve({ mtls: { bundles, allow: everybody } })
      expect((await callTls(server, orders)).status).toBe(200)
      for (const credential of [agent, authority]) {
        const answer = await callTls(server, credential)
        expect([answer.status, answer.json.code]).toEqual([403, 'caller_not_allowed'])
      }
    }
    const named = await serve({ mtls: { bundles, allow: { spiffeIds: ['spiffe://example.org/spire/server'] } } })
    expect((await callTls(named, authority)).status).toBe(200)
  })

  it('asks for a certificate where there is none', async () => {
    const answer = await callTls(await serve({ mtls: { bundles, allow } }))
    expect(answer).toMatchObject({ status: 401, json: { code: 'missing_credential', reason: 'missing_certificate' } })
    expect(answer.headers['www-authenticate']).toBe('Certificate realm="stock"')
  })

  it('names the client and his scopes as it is told', async () => {
    const server = await serve(
      {
        mtls: {
          bundles,
          allow,
          clientOf: ({ spiffeId }) => (spiffeId?.endsWith('/orders') ? 'order-service' : undefined),
          scopesOf: (clientId) => (clientId === 'order-service' ? ['read:stock'] : []),
        },
      },
      { scopes: ['read:stock'] },
    )
    expect((await callTls(server, orders)).json).toMatchObject({ clientId: 'order-service', scopes: ['read:stock'] })
    const unknown = await callTls(server, credentialOf(example.x509Svid('/batch/a')))
    expect([unknown.status, unknown.json.code]).toEqual([403, 'caller_not_allowed'])
  })
})

describe('certificates that are refused', () => {
  const refused = async (server: TlsServer, credential: Credential, reason: string) => {
    const answer = await callTls(server, credential)
    expect([answer.status, answer.json.code, answer.json.reason]).toEqual([401, 'invalid_token', reason])
    expect(answer.headers['www-authenticate']).toMatch(/^Certificate realm="stock", error="invalid_token"/)
  }

  it("refuses an ID that another trust domain's CA has signed (attack 55)", async () => {
    const server = await serve({ mtls: { bundles, allow } })
    await refused(server, plainCredential(partner, { uris: ['spiffe://example.org/orders'] }), 'untrusted_certificate')
    const stranger = createTestAuthority('example.org')
    await refused(server, credentialOf(stranger.x509Svid('/orders')), 'untrusted_certificate')
  })

  it('never believes a SPIFFE ID on the word of the CAs for plain certificates', async () => {
    const ca = createTestAuthority('ca.test')
    const server = await serve({ mtls: { bundles, ca: pemOf(ca), allow: { ...allow, dnsNames: ['orders.test'] } } })
    expect((await callTls(server, plainCredential(ca, { dnsNames: ['orders.test'] }))).status).toBe(200)
    const forged = plainCredential(ca, { uris: ['spiffe://example.org/orders'], dnsNames: ['orders.test'] })
    await refused(server, forged, 'untrusted_certificate')
  })

  it('refuses two SPIFFE IDs in one certificate, and the ID of a trust domain (attack 52)', async () => {
    const server = await serve({ mtls: { bundles, allow: { trustDomains: ['example.org'] } } })
    const two = plainCredential(example, { uris: ['spiffe://example.org/orders', 'spiffe://example.org/billing'] })
    await refused(server, two, 'invalid_certificate')
    await refused(server, plainCredential(example, { uris: ['spiffe://example.org'] }), 'invalid_certificate')
  })

  it('refuses a leaf that another leaf has signed (attack 51)', async () => {
    const leaf = example.x509Svid('/orders')
    const server = await serve({ mtls: { bundles, allow } })
    // The chain is there, and says nothing for a leaf that its CA has not signed.
    const other = createTestAuthority('example.org').x509Svid('/orders')
    await refused(server, credentialOf(other, leaf.certificates), 'untrusted_certificate')
  })

  it('refuses what has expired, also in the middle of a connection (attack 53)', async () => {
    let now = Date.now()
    const server = await serve({ mtls: { bundles, allow }, now: () => now })
    const agent = new Agent({ keepAlive: true, maxSockets: 1, ...orders, rejectUnauthorized: false })
    expect((await callTls(server, {}, { agent })).status).toBe(200)
    now += 3_580_000
    expect((await callTls(server, {}, { agent })).status).toBe(200)
    now += 40_000
    const late = await callTls(server, {}, { agent })
    expect([late.status, late.json.reason]).toEqual([401, 'expired_certificate'])
    now -= 7_200_000
    expect((await callTls(server, {}, { agent })).json.reason).toBe('expired_certificate')
    agent.destroy()
  })

  it('verifies a resumed session like any other (attack 53)', async () => {
    let now = Date.now()
    const server = await serve({ mtls: { bundles, allow }, now: () => now })
    const agent = new Agent({ ...orders, rejectUnauthorized: false, maxCachedSessions: 10 })
    expect((await callTls(server, {}, { agent })).status).toBe(200)
    now += 3_700_000
    expect((await callTls(server, {}, { agent })).json.reason).toBe('expired_certificate')
    agent.destroy()
  })

  it('stops believing on open connections when the trust domain withdraws its CA', async () => {
    const withdrawing = new Map([['example.org', example.bundle]])
    const server = await serve({ mtls: { bundles: withdrawing, allow } })
    const agent = new Agent({ keepAlive: true, maxSockets: 1, ...orders, rejectUnauthorized: false })
    expect((await callTls(server, {}, { agent })).status).toBe(200)
    withdrawing.set('example.org', createTestAuthority('example.org').bundle)
    expect((await callTls(server, {}, { agent })).json.reason).toBe('untrusted_certificate')
    agent.destroy()
  })

  it('answers 503 on open connections when the bundle is too old and no new one is to be had', async () => {
    let isStale = false
    const source = {
      get(name: string) {
        if (isStale) throw new SpiffeError('unavailable', 'the bundle cannot be had')
        return bundles.get(name)
      },
    }
    const server = await serve({ mtls: { bundles: source, allow } })
    const agent = new Agent({ keepAlive: true, maxSockets: 1, ...orders, rejectUnauthorized: false })
    expect((await callTls(server, {}, { agent })).status).toBe(200)
    isStale = true
    const unsure = await callTls(server, {}, { agent })
    expect([unsure.status, unsure.json.reason]).toEqual([503, 'bundles_unavailable'])
    agent.destroy()
  })

  it('heeds revoked serial numbers on open connections, and lets nobody in while it cannot tell (attack 93)', async () => {
    const svid = example.x509Svid('/orders')
    const revoked = new Set<string>()
    let current = true
    const revocations: RevocationSource = {
      isRevoked: () => false,
      isRevokedSerial: (serial) => revoked.has(serial),
      isCurrent: () => current,
      start() {},
      async stop() {},
    }
    const server = await serve({ mtls: { bundles, allow }, revocations })
    const agent = new Agent({ keepAlive: true, maxSockets: 1, ...credentialOf(svid), rejectUnauthorized: false })
    expect((await callTls(server, {}, { agent })).status).toBe(200)
    revoked.add(svid.certificates[0]!.serialNumber)
    expect((await callTls(server, {}, { agent })).json.reason).toBe('revoked_certificate')
    revoked.clear()
    current = false
    const unsure = await callTls(server, {}, { agent })
    expect([unsure.status, unsure.json.reason]).toEqual([503, 'revocations_unknown'])
    agent.destroy()
  })
})

describe('plain certificates', () => {
  const ca = createTestAuthority('ca.test')
  const mtls = (allowed: object) => ({ mtls: { ca: pemOf(ca), allow: allowed as never } })

  it('are known by one of the names that are allowed', async () => {
    const credential = plainCredential(ca, {
      commonName: 'orders',
      organization: 'Example, Inc.',
      dnsNames: ['Orders.example.org'],
      ipAddresses: ['192.0.2.7'],
    })
    for (const [allowed, name] of [
      [{ dnsNames: ['orders.example.org'] }, 'orders.example.org'],
      [{ ipAddresses: ['192.0.2.7'] }, '192.0.2.7'],
      [{ subjects: ['cn=orders, O=Example\\, Inc.'] }, 'cn=orders, O=Example\\, Inc.'],
    ] as const) {
      const answer = await callTls(await serve(mtls(allowed)), credential)
      expect([answer.status, answer.json.clientId, answer.json.spiffeId]).toEqual([200, name, undefined])
    }
    for (const allowed of [
      { dnsNames: ['example.org', 'orders.example.org.evil', '*.example.org'] },
      { subjects: ['CN=orders', 'O=Example\\, Inc.,CN=orders', 'CN=Orders,O=Example\\, Inc.', 'CN=orders,O=Example'] },
      { ipAddresses: ['192.0.2.70'] },
    ]) {
      const answer = await callTls(await serve(mtls(allowed)), credential)
      expect([answer.status, answer.json.code]).toEqual([403, 'caller_not_allowed'])
    }
  })

  it("do not pass with another client's certificate of the same CA (attack 50)", async () => {
    const server = await serve(mtls({ dnsNames: ['orders.example.org'] }))
    expect((await callTls(server, plainCredential(ca, { dnsNames: ['billing.example.org'] }))).status).toBe(403)
    const inName = plainCredential(ca, { commonName: 'orders.example.org', dnsNames: ['billing.example.org'] })
    expect((await callTls(server, inName)).status).toBe(403)
  })

  it('are held to the list whatever client they are said to be', async () => {
    const named = { ca: pemOf(ca), allow: { dnsNames: ['orders.example.org'] }, clientOf: () => 'orders' }
    const server = await serve({ mtls: named })
    expect((await callTls(server, plainCredential(ca, { dnsNames: ['orders.example.org'] }))).status).toBe(200)
    const other = await callTls(server, plainCredential(ca, { dnsNames: ['billing.example.org'] }))
    expect([other.status, other.json.code]).toEqual([403, 'caller_not_allowed'])
  })

  it('must be for clients', async () => {
    const server = await serve(mtls({ dnsNames: ['orders.example.org'] }))
    const serverOnly = plainCredential(ca, { dnsNames: ['orders.example.org'], extendedKeyUsage: ['server'] })
    expect((await callTls(server, serverOnly)).json.reason).toBe('untrusted_certificate')
  })
})

describe('options that could not be safe', () => {
  it.each([
    [{}, /allow: needs/],
    [{ allow }, /needs "bundles"/],
    [{ bundles }, /allow/],
    [{ bundles, allow: {} }, /nobody/],
    [{ bundles, allow: { spiffeIds: [] } }, /nobody/],
    [{ bundles, allow: { spiffeId: ['spiffe://example.org/a'] } }, /spiffeId/],
    [{ bundles, allow: { spiffeIds: 'spiffe://example.org/a' } }, /list/],
    [{ bundles, allow: null }, /allow: needs/],
    [{ ca: pemOf(example), allow: { dnsNames: [''] } }, /list/],
    [{ ca: pemOf(example), allow: { emails: [1] } }, /list/],
    [{ ca: pemOf(example), allow: { ipAddresses: ['10.0.0.0/8'] } }, /no IP address/],
    [{ bundles, allow: { spiffeIds: ['spiffe://example.org/a*'] } }, /path/],
    [{ bundles, allow: { subjects: ['orders'] } }, /RFC 4514/],
    [{ bundles, allow: { uris: ['spiffe://example.org/a'] } }, /spiffeIds/],
    [{ ca: 'no PEM', allow: { dnsNames: ['a'] } }, /PEM/],
    [{ ca: pemOf(example), allow: { spiffeIds: ['spiffe://example.org/a'] } }, /bundles/],
  ])('refuses %j', (mtls, message) => {
    expect(() => createGuard({ mtls: mtls as never })).toThrow(message)
  })

  it('refuses requirements that cannot be checked', () => {
    const guard: Guard = createGuard({ mtls: { bundles, allow } })
    expect(() => guard.check({ mtls: 'ignored' })).toThrow(/nothing to check/)
    expect(() => guard.check({ bearer: 'required' })).toThrow(/issuer/)
    expect(() => guard.check({ mtls: 'yes' as never })).toThrow(/"mtls" must be/)
    expect(() => createGuard({ issuer: 'https://a', audience: 'b' }).check({ mtls: 'required' })).toThrow(/"mtls"/)
  })
})

function pemOf({ issuer }: TestAuthority): string {
  return toPem(issuer.certificate.der)
}
