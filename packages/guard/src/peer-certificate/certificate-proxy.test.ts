import { mkdtempSync } from 'node:fs'
import { createServer, request } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { formatPemCertificates } from '@countersign/spiffe'
import { createTestAuthority } from '@countersign/spiffe/testing'
import { afterEach, describe, expect, it } from 'vitest'
import { createGuard } from '../guard.ts'
import { callTls, credentialOf, listenTls, type TlsAnswer, type TlsServer } from '../mtls/tls-calls.fixture.ts'
import { guardNode } from '../node.ts'
import { type CertificateProxyOptions, createCertificateProxy } from './certificate-proxy.ts'
import { readPeerCertificate } from './peer-certificate.ts'

const example = createTestAuthority('example.org')
const bundles = new Map([['example.org', example.bundle]])
const allow = { spiffeIds: ['spiffe://example.org/orders'] }
const proxyIdentity = credentialOf(example.x509Svid('/proxy'))
const orders = example.x509Svid('/orders').certificates[0]!.der
const header = `:${orders.toString('base64')}:`

const running: { close(): unknown }[] = []
afterEach(async () => {
  for (const server of running.splice(0)) await server.close()
})

function listener(certificateProxy: CertificateProxyOptions) {
  const guard = createGuard({ mtls: { bundles, allow }, certificateProxy })
  return guardNode(guard, {}, ({ caller }, response) => {
    response.end(JSON.stringify(caller))
  })
}

async function behindProxy(options: Partial<CertificateProxyOptions>): Promise<TlsServer> {
  const server = await listenTls(listener({ header: 'client-cert', ...options }))
  running.push(server)
  return server
}

const byIdentity = { spiffeIds: ['spiffe://example.org/proxy'] }

describe('a proxy that tells of the client certificate', () => {
  it('is believed by its own SVID', async () => {
    const server = await behindProxy(byIdentity)
    const answer = await callTls(server, proxyIdentity, { headers: { 'client-cert': header } })
    expect([answer.status, answer.json.spiffeId]).toEqual([200, 'spiffe://example.org/orders'])
  })

  it('is believed by its address where that is said', async () => {
    const server = await behindProxy({ addresses: ['127.0.0.0/8'] })
    expect((await callTls(server, {}, { headers: { 'client-cert': header } })).status).toBe(200)
  })

  it('does not lend its own identity to a client without a certificate', async () => {
    const guard = await behindProxy({ spiffeIds: ['spiffe://example.org/orders'] })
    const answer = await callTls(guard, credentialOf(example.x509Svid('/orders')))
    expect([answer.status, answer.json.reason]).toEqual([401, 'missing_certificate'])
  })

  it("is believed of Envoy's header too, of several lines only what stands at the very end", async () => {
    const server = await behindProxy({ ...byIdentity, header: 'xfcc' })
    const ask = async (xfcc: string | string[]) =>
      (await callTls(server, proxyIdentity, { headers: { 'x-forwarded-client-cert': xfcc } })).json
    const [own, billing] = [orders, example.x509Svid('/billing').certificates[0]!.der].map(
      (der) => `Hash=${'a'.repeat(64)};Cert="${encodeURIComponent(formatPemCertificates([der]))}"`,
    ) as [string, string]
    expect(await ask(own)).toMatchObject({ spiffeId: 'spiffe://example.org/orders' })
    expect(await ask([billing, own])).toMatchObject({ spiffeId: 'spiffe://example.org/orders' })
    expect(await ask([own, billing])).toMatchObject({ code: 'caller_not_allowed' })
    expect(await ask('')).toMatchObject({ reason: 'missing_certificate' })
    const other = await callTls(server, {}, { headers: { 'x-forwarded-client-cert': own } })
    expect([other.status, other.json.reason]).toEqual([400, 'untrusted_proxy'])
  })

  it('is not believed when its certificate has been verified elsewhere only: the chain in the header is judged here', async () => {
    const server = await behindProxy(byIdentity)
    const forged = createTestAuthority('example.org').x509Svid('/orders').certificates[0]!.der
    const answer = await callTls(server, proxyIdentity, {
      headers: { 'client-cert': `:${forged.toString('base64')}:` },
    })
    expect([answer.status, answer.json.reason]).toEqual([401, 'untrusted_certificate'])
  })
})

describe('a chain', () => {
  it('of more certificates than any honest one has is not read', () => {
    const { der } = example.issuer.certificate
    expect(readPeerCertificate([orders, ...Array(9).fill(der)])?.chain).toHaveLength(10)
    expect(() => readPeerCertificate([orders, ...Array(10).fill(der)])).toThrow(/more than 10/)
  })
})

describe('a proxy that was verified a moment ago', () => {
  const { certificates, expiresAt } = example.x509Svid('/proxy')
  const certificate = readPeerCertificate(certificates.map(({ der }) => der))
  const connection = { certificate, remoteAddress: undefined, isUnixSocket: false }
  const now = Date.now() / 1000

  it('is believed without its signature being checked again, for a minute', () => {
    let asked = 0
    const counted = {
      get x509Authorities() {
        asked += 1
        return example.bundle.x509Authorities
      },
      trustDomain: 'example.org',
      jwtAuthorities: new Map(),
    }
    const proxy = createCertificateProxy({
      header: 'xfcc',
      ...byIdentity,
      bundles: new Map([['example.org', counted]]),
    })
    expect([proxy.isProxy(connection, now), proxy.isProxy(connection, now + 59), asked]).toEqual([true, true, 1])
    expect([proxy.isProxy(connection, now + 60), asked]).toEqual([true, 2])
  })

  it('is not believed any more once its SVID has expired', () => {
    const proxy = createCertificateProxy({ header: 'xfcc', ...byIdentity, bundles })
    expect(proxy.isProxy(connection, expiresAt - 1)).toBe(true)
    expect(proxy.isProxy(connection, expiresAt + 1)).toBe(false)
  })

  it('is not believed any more once its workload has ended, also on a connection that is open', () => {
    const revoked = new Set<string>()
    const svid = example.x509Svid('/proxy')
    const certificate = readPeerCertificate(svid.certificates.map(({ der }) => der))
    const proxy = createCertificateProxy({ header: 'client-cert', ...byIdentity }, bundles, (serial) =>
      revoked.has(serial),
    )
    const connection = { certificate, remoteAddress: undefined, isUnixSocket: false }
    const now = Date.now() / 1000
    expect(proxy.isProxy(connection, now)).toBe(true)
    revoked.add(svid.certificates[0]!.serialNumber)
    expect(proxy.isProxy(connection, now)).toBe(false)
  })

  it('is judged by the bundle that its trust domain has now', () => {
    const changing = new Map(bundles)
    const proxy = createCertificateProxy({ header: 'xfcc', ...byIdentity, bundles: changing })
    expect(proxy.isProxy(connection, now)).toBe(true)
    changing.set('example.org', createTestAuthority('example.org').bundle)
    expect(proxy.isProxy(connection, now)).toBe(false)
  })
})

describe('a certificate in a header from whoever is not the proxy (attack 77)', () => {
  const refused = (answer: TlsAnswer, reason: string, status = 400) =>
    expect([answer.status, answer.json.reason]).toEqual([status, reason])

  it('is refused, with another identity, without one, and with one that nobody trusts', async () => {
    const server = await behindProxy(byIdentity)
    const headers = { 'client-cert': header }
    refused(await callTls(server, {}, { headers }), 'untrusted_proxy')
    refused(await callTls(server, credentialOf(example.x509Svid('/billing')), { headers }), 'untrusted_proxy')
    const impostor = credentialOf(createTestAuthority('example.org').x509Svid('/proxy'))
    refused(await callTls(server, impostor, { headers }), 'untrusted_proxy')
    refused(await callTls(server, {}, { headers: { 'client-cert-chain': header } }), 'untrusted_proxy')
  })

  it('is refused from other addresses, IPv4-mapped or not', async () => {
    const server = await behindProxy({ addresses: ['10.0.0.0/8', '::1'] })
    refused(await callTls(server, {}, { headers: { 'client-cert': header } }), 'untrusted_proxy')
  })

  it('is not looked at where no proxy is configured', async () => {
    const guard = createGuard({ mtls: { bundles, allow } })
    const server = await listenTls(guardNode(guard, {}, (_request, response) => void response.end('{}')))
    running.push(server)
    const headers = { 'client-cert': header, 'x-forwarded-client-cert': 'URI=spiffe://example.org/orders' }
    refused(await callTls(server, {}, { headers }), 'missing_certificate', 401)
  })

  it('is refused from the proxy when it came twice, or cannot be read', async () => {
    const server = await behindProxy(byIdentity)
    const twice = await callTls(server, proxyIdentity, { headers: { 'client-cert': [header, header] } })
    refused(twice, 'malformed_certificate_header')
    refused(
      await callTls(server, proxyIdentity, { headers: { 'client-cert': 'nonsense' } }),
      'malformed_certificate_header',
    )
    refused(
      await callTls(server, proxyIdentity, { headers: { 'client-cert': ':AAAA:' } }),
      'malformed_certificate',
      401,
    )
  })

  it('lets direct callers with their own certificate through beside the proxy', async () => {
    const server = await behindProxy(byIdentity)
    expect((await callTls(server, credentialOf(example.x509Svid('/orders')))).status).toBe(200)
  })
})

describe('a proxy on a Unix socket', () => {
  it('is believed where that is said, and a TCP connection is not taken for one', async () => {
    const trusting = listener({ header: 'client-cert', unixSocket: true })
    const path = join(mkdtempSync(join(tmpdir(), 'countersign-proxy-')), 'http.sock')
    const local = createServer(trusting)
    const remote = createServer(trusting)
    running.push(local, remote)
    await new Promise<void>((done) => local.listen(path, done))
    await new Promise<void>((done) => remote.listen(0, '127.0.0.1', done))
    expect(await ask({ socketPath: path })).toBe(200)
    expect(await ask({ port: (remote.address() as AddressInfo).port })).toBe(400)
  })

  it('is not believed where it is known by something else', async () => {
    const path = join(mkdtempSync(join(tmpdir(), 'countersign-proxy-')), 'http.sock')
    const local = createServer(listener({ header: 'client-cert', addresses: ['127.0.0.1'] }))
    running.push(local)
    await new Promise<void>((done) => local.listen(path, done))
    expect(await ask({ socketPath: path })).toBe(400)
  })
})

describe('options that would believe anybody', () => {
  it.each([
    [{ header: 'client-cert' }, /name the proxy/],
    [{ header: 'client-cert', spiffeIds: [], addresses: [] }, /name the proxy/],
    [{ header: 'x-client-cert', addresses: ['::1'] }, /"header"/],
    [{ header: 'xfcc', addresses: ['::ffff:10.0.0.0/8'] }, /IPv4-mapped/],
    [{ header: 'xfcc', spiffeIds: ['spiffe://example.org/a*'] }, /path/],
  ])('are refused: %j', (certificateProxy, message) => {
    expect(() => createGuard({ mtls: { bundles, allow }, certificateProxy: certificateProxy as never })).toThrow(
      message,
    )
  })

  it('need bundles to know the proxy by', () => {
    const certificateProxy = { header: 'xfcc' as const, spiffeIds: ['spiffe://example.org/proxy'] }
    expect(() => createGuard({ issuer: 'https://a.example/', audience: 'b', certificateProxy })).toThrow(/bundles/)
  })
})

function ask(to: { socketPath?: string; port?: number }): Promise<number> {
  return new Promise((resolve, reject) => {
    request({ ...to, host: '127.0.0.1', headers: { 'client-cert': header }, agent: false }, (response) => {
      response.resume()
      resolve(response.statusCode ?? 0)
    })
      .on('error', reject)
      .end()
  })
}
