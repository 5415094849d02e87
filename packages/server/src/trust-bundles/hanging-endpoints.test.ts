import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { createServer, type TLSSocket, type TlsOptions } from 'node:tls'
import { toPem } from '@countersign/spiffe'
import { createTestAuthority } from '@countersign/spiffe/testing'
import { beforeEach, expect, it, onTestFinished } from 'vitest'
import { type AdminApiUnderTest, openAdminApi } from '../admin/admin-api.fixture.ts'
import { documentOf, withSvid } from './bundle-server.fixture.ts'

const web = createTestAuthority('web.test')
const { certificatePem: cert, keyPem: key } = web.certificate({ dnsNames: ['localhost'] })

type Answer = (socket: TLSSocket) => unknown

const head = (length: number) =>
  `HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: ${length}\r\nconnection: close\r\n\r\n`
const saying = (document: string) => (socket: TLSSocket) => socket.end(head(Buffer.byteLength(document)) + document)
const dripping = (beginning: string) => (socket: TLSSocket) => {
  socket.write(beginning)
  const timer = setInterval(() => socket.write(' '), 200)
  socket.once('close', () => clearInterval(timer))
}

let server: AdminApiUnderTest
beforeEach(async () => {
  const bundleFetch = { lookMilliseconds: 50, ca: toPem(web.bundle.x509Authorities[0]?.der as Buffer) }
  server = await openAdminApi({ spiffe: { trustDomain: 'example.org', bundleFetch } })
})

const federate = (name: string, body: object) => server.call('PUT', `/trust-bundles/${name}`, body)
const known = async (name: string) => (await server.call('GET', `/trust-bundles/${name}`)).body

/** A bundle endpoint that answers as it is told, byte by byte. */
async function serve(options: TlsOptions, answer: Answer) {
  const sockets = new Set<TLSSocket>()
  const endpoint = { url: '', asked: 0, open: () => sockets.size, answer }
  const listening = createServer(options, (socket) => {
    sockets.add(socket)
    socket.on('error', () => {}).on('close', () => sockets.delete(socket))
    socket.once('data', () => {
      endpoint.asked += 1
      endpoint.answer(socket)
    })
  })
  listening.listen(0, '127.0.0.1')
  await once(listening, 'listening')
  endpoint.url = `https://localhost:${(listening.address() as AddressInfo).port}/bundle`
  onTestFinished(() => {
    for (const socket of sockets) socket.destroy()
    listening.close()
  })
  return endpoint
}

const hangs = /did not answer completely within 5000 ms/
const faults: Record<string, { answer: Answer; failure: RegExp }> = {
  silent: { answer: () => {}, failure: hangs },
  'stalls-after-head': { answer: (socket) => socket.write(head(1_000)), failure: hangs },
  'drips-head': { answer: dripping('HTTP/1.1 200 OK\r\nx: '), failure: hangs },
  'drips-document': { answer: dripping(head(10_000)), failure: hangs },
  large: { answer: (socket) => socket.write(head(100_000_000)), failure: /larger than 262144 bytes/ },
}

/** The endpoint of a trust domain, which answered well until its bundle was fetched once. */
async function serveWell(name: string, profile: 'https_web' | 'https_spiffe') {
  const authority = createTestAuthority(name)
  const options = profile === 'https_web' ? { cert, key } : withSvid(authority.x509Svid('/endpoint'))
  const endpoint = await serve(options, saying(documentOf(authority, { sequenceNumber: 2, refreshHintSeconds: 600 })))
  const set = await federate(name, {
    endpoint_url: endpoint.url,
    endpoint_profile: profile,
    ...(profile === 'https_spiffe' && { endpoint_spiffe_id: `spiffe://${name}/endpoint` }),
    bundle: JSON.parse(documentOf(authority, { sequenceNumber: 1 })),
  })
  expect(set.status).toBe(201)
  await expect.poll(async () => (await known(name)).sequence_number, { timeout: 4_000 }).toBe(2)
  return endpoint
}

it('fetches from other trust domains while endpoints hang, keeps and tells what was known of theirs, and closes at once', async () => {
  const hanging = new Map<string, Awaited<ReturnType<typeof serveWell>>>()
  for (const profile of ['https_web', 'https_spiffe'] as const)
    for (const fault of Object.keys(faults)) {
      const name = `${fault}.${profile.slice(6)}.org`
      hanging.set(name, await serveWell(name, profile))
    }
  for (const [name, endpoint] of hanging) endpoint.answer = faults[name.split('.')[0] as string]!.answer
  server.advance(601)
  const asked = () => [...hanging.values()].map((endpoint) => endpoint.asked)
  await expect.poll(asked, { timeout: 10_000 }).toEqual(asked().map(() => 2))
  await serveWell('good.org', 'https_web')

  for (const name of hanging.keys()) {
    const { failure } = faults[name.split('.')[0] as string]!
    await expect.poll(async () => (await known(name)).failure, { timeout: 8_000 }).toMatch(failure)
    expect(await known(name)).toMatchObject({ sequence_number: 2, failing_since: expect.any(String) })
  }
  const { items } = (await server.call('GET', '/audit-events?type=trust_bundle.refused')).body
  expect(items).toHaveLength(hanging.size)
  await expect.poll(() => [...hanging.values()].every((endpoint) => endpoint.open() === 0)).toBe(true)

  server.advance(61)
  await expect.poll(asked, { timeout: 10_000 }).toEqual(asked().map(() => 3))
  const closing = performance.now()
  await server.close()
  expect(performance.now() - closing).toBeLessThan(2_000)
}, 30_000)
