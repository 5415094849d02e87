import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { formatBundleDocument } from '@countersign/spiffe'
import { createTestAuthority } from '@countersign/spiffe/testing'
import { afterEach, expect, it } from 'vitest'
import { createGuard } from '../guard.ts'
import { guardNode } from '../node.ts'
import { createBundleSource } from './bundle-source.ts'
import { callTls, credentialOf, listenTls, type TlsServer } from './tls-calls.fixture.ts'

const running: { close(): unknown }[] = []
afterEach(async () => {
  for (const server of running.splice(0)) await server.close()
})

async function bundleServer(document: () => string | undefined): Promise<string> {
  const server = createServer((_request, response) => {
    const text = document()
    response.writeHead(text === undefined ? 503 : 200, { 'content-type': 'application/json' }).end(text)
  })
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done))
  running.push(server)
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/spiffe/bundle`
}

async function serve(source: ReturnType<typeof createBundleSource>): Promise<TlsServer> {
  const guard = createGuard({ mtls: { bundles: source, allow: { trustDomains: ['example.org'] } } })
  const server = await listenTls(guardNode(guard, {}, (_request, response) => void response.end('{}')))
  running.push(server)
  return server
}

it('fetches the bundle, and again when it says so, and keeps the old one through an outage', async () => {
  let now = 0
  let isUp = true
  const authority = createTestAuthority('example.org')
  const url = await bundleServer(() => (isUp ? formatBundleDocument(authority.bundle) : undefined))
  const source = createBundleSource({ trustDomain: 'example.org', url, now: () => now })
  const server = await serve(source)
  expect((await callTls(server, credentialOf(authority.x509Svid('/a')))).status).toBe(200)
  authority.rotate()
  expect((await callTls(server, credentialOf(authority.x509Svid('/a')))).status).toBe(401)
  now += 301_000
  source.get('example.org')
  await expect.poll(() => source.get('example.org')?.x509Authorities.length).toBe(2)
  expect((await callTls(server, credentialOf(authority.x509Svid('/a')))).status).toBe(200)
  isUp = false
  now += 3_000_000
  expect((await callTls(server, credentialOf(authority.x509Svid('/a')))).status).toBe(200)
  now += 1_000_000
  const late = await callTls(server, credentialOf(authority.x509Svid('/a')))
  expect([late.status, late.json.reason]).toEqual([503, 'bundles_unavailable'])
})

it('does not go back to an older bundle', async () => {
  let now = 0
  const authority = createTestAuthority('example.org')
  const old = formatBundleDocument(authority.bundle)
  authority.rotate()
  let document = formatBundleDocument(authority.bundle)
  const source = createBundleSource({
    trustDomain: 'example.org',
    url: await bundleServer(() => document),
    now: () => now,
  })
  await source.ready
  document = old
  now += 301_000
  source.get('example.org')
  await new Promise((done) => setTimeout(done, 100))
  expect(source.get('example.org')?.sequenceNumber).toBe(2)
})

it('counts for its own trust domain only, and needs a URL that nobody on the way can answer for', async () => {
  const authority = createTestAuthority('example.org')
  const url = await bundleServer(() => formatBundleDocument(authority.bundle))
  const source = createBundleSource({ trustDomain: 'other.org', url })
  await source.ready
  expect(source.get('example.org')).toBeUndefined()
  expect(() => createBundleSource({ trustDomain: 'a b', url })).toThrow(/trustDomain/)
  const open = { trustDomain: 'example.org', url: 'http://auth.example.com/spiffe/bundle' }
  expect(() => createBundleSource(open)).toThrow(/plain http/)
})
