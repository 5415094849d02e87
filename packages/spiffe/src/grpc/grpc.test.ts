import { once } from 'node:events'
import { grpcChannelCredentials, grpcServerCredentials, peerOf } from '@countersign/spiffe/grpc'
import { HealthClient, type HealthServer, HealthService } from '@countersign/spiffe/protocol/health'
import { createTestAuthority } from '@countersign/spiffe/testing'
import { allowAny, allowId, type PeerAuthorizer, type ProtectOptions } from '@countersign/spiffe/tls'
import { type Client, credentials, Metadata, Server, ServerCredentials, type ServiceError, status } from '@grpc/grpc-js'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { oddCertificate, pemOf, testSource } from '../tls/test-source.fixture.ts'

/** Milliseconds that a busy machine may take for what comes at once on an idle one. */
const patience = 20_000

const authority = createTestAuthority('example.org')
const partner = createTestAuthority('partner.example')
const stranger = createTestAuthority('example.org')
const source = testSource(authority, '/orders', { federated: [partner.bundle] })
const billing = testSource(authority, '/billing', { federated: [partner.bundle] })
const open: { close(): void }[] = []

afterEach(() => {
  for (const one of open.splice(0)) one.close()
})

describe('a gRPC server and client', () => {
  it('know each other, in calls of one answer and of many', async () => {
    const { port, callers } = await serve(allowId('spiffe://example.org/billing'))
    const client = clientOf(port, grpcChannelCredentials(billing, allowId('spiffe://example.org/orders')))
    expect(await check(client)).toBe('OK')
    const stream = client.watch({ service: '' }).on('error', () => {})
    const [answer] = await once(stream, 'data')
    expect(answer).toEqual({ status: 1 })
    expect(callers).toEqual(['spiffe://example.org/billing', 'spiffe://example.org/billing'])
  })

  it('compose with call credentials', async () => {
    const { port } = await serve(allowAny())
    const call = credentials.createFromMetadataGenerator((_options, done) => done(null, new Metadata()))
    const composed = credentials.combineChannelCredentials(grpcChannelCredentials(billing, allowAny()), call)
    expect(await check(clientOf(port, composed))).toBe('OK')
  })

  it('tell a client that is not allowed so, and run no handler for it', async () => {
    const { port, callers, refused } = await serve(allowId('spiffe://example.org/other'))
    const client = clientOf(port, grpcChannelCredentials(billing, allowAny()))
    for (let round = 0; round < 2; round += 1) expect(await check(client)).toBe('PERMISSION_DENIED')
    const [error] = (await once(client.watch({ service: '' }), 'error')) as [ServiceError]
    expect(error.code).toBe(status.PERMISSION_DENIED)
    expect([callers, refused]).toEqual([[], ['unauthorized_peer']])
  })

  it.each<[string, { cert: string; key: string }]>([
    ['a CA of the same name', pemOf(stranger.x509Svid('/billing'))],
    ['the CA of another trust domain', odd('spiffe://example.org/billing')],
  ])('do not talk when the client’s certificate is from %s', async (_whose, { cert, key }) => {
    const { port, callers } = await serve(allowAny())
    const roots = Buffer.from(pemOf(authority.x509Svid('/x')).cert)
    const plain = credentials.createSsl(roots, Buffer.from(key), Buffer.from(cert), { rejectUnauthorized: false })
    expect(await check(clientOf(port, plain))).toBe('UNAUTHENTICATED')
    expect(callers).toEqual([])
  })

  it('do not talk when the client has no certificate', async () => {
    const { port, callers } = await serve(allowAny())
    const plain = credentials.createSsl(null, null, null, { rejectUnauthorized: false })
    expect(await check(clientOf(port, plain))).toBe('UNAUTHENTICATED')
    expect(callers).toEqual([])
  })

  it('do not talk when the server is another one, or one that nobody vouches for', async () => {
    const { port, callers } = await serve(allowAny())
    const wrongId = grpcChannelCredentials(billing, allowId('spiffe://example.org/other'))
    expect(await check(clientOf(port, wrongId))).toBe('UNAVAILABLE')
    const elsewhere = grpcChannelCredentials(testSource(stranger, '/billing'), allowAny())
    expect(await check(clientOf(port, elsewhere))).toBe('UNAVAILABLE')
    expect(callers).toEqual([])
  })

  it('part when the client’s certificate is revoked', async () => {
    const revoked = new Set<string>()
    const { port, refused } = await serve(allowAny(), { isRevoked: (serialNumber) => revoked.has(serialNumber) })
    const client = clientOf(port, grpcChannelCredentials(billing, allowAny()))
    const stream = client.watch({ service: '' })
    await once(stream, 'data')
    revoked.add(billing.svid().certificates[0]!.serialNumber)
    await once(stream, 'error')
    await vi.waitFor(async () => expect(await check(client)).toBe('UNAUTHENTICATED'), patience)
    expect(refused).toContain('untrusted_svid')
    billing.rotate()
    const anew = clientOf(port, grpcChannelCredentials(billing, allowAny()))
    expect(await check(anew)).toBe('OK')
  })

  it('begin when the server gets its identity, which may be after it listens', async () => {
    const late = testSource(authority, '/orders')
    late.set(undefined)
    const { port } = await serve(allowAny(), {}, late)
    expect(await check(clientOf(port, grpcChannelCredentials(billing, allowAny())))).toBe('UNAVAILABLE')
    late.rotate()
    expect(await check(clientOf(port, grpcChannelCredentials(billing, allowAny())))).toBe('OK')
  })

  it('stop while the server has no identity, and go on when it has one again', async () => {
    const rotating = testSource(authority, '/orders')
    const { port } = await serve(allowAny(), {}, rotating)
    rotating.set(undefined)
    expect(await check(clientOf(port, grpcChannelCredentials(billing, allowAny())))).toBe('UNAVAILABLE')
    rotating.rotate()
    expect(await check(clientOf(port, grpcChannelCredentials(billing, allowAny())))).toBe('OK')
  })

  it('name nobody on a server with other credentials', async () => {
    const server = new Server()
    const peers: unknown[] = []
    const implementation: HealthServer = {
      check(call, done) {
        peers.push(peerOf(call))
        done(null, { status: 1 })
      },
      watch() {},
    }
    server.addService(HealthService, implementation)
    const port = await bind(server, ServerCredentials.createInsecure())
    expect(await check(clientOf(port, credentials.createInsecure()))).toBe('OK')
    expect(peers).toEqual([undefined])
  })
})

async function serve(authorize: PeerAuthorizer, options: ProtectOptions = {}, by = source) {
  const callers: string[] = []
  const refused: string[] = []
  const server = new Server()
  const implementation: HealthServer = {
    check(call, done) {
      callers.push(String(peerOf(call)?.id))
      done(null, { status: 1 })
    },
    watch(call) {
      callers.push(String(peerOf(call)?.id))
      call.write({ status: 1 })
    },
  }
  server.addService(HealthService, implementation)
  const serverCredentials = grpcServerCredentials(by, authorize, {
    onRefused: (error) => refused.push(error.code),
    ...options,
  })
  return { port: await bind(server, serverCredentials), callers, refused }
}

function bind(server: Server, serverCredentials: Parameters<Server['bindAsync']>[1]): Promise<number> {
  open.push({ close: () => server.forceShutdown() })
  return new Promise((resolve, reject) => {
    server.bindAsync('127.0.0.1:0', serverCredentials, (error, port) => (error ? reject(error) : resolve(port)))
  })
}

function clientOf(port: number, channelCredentials: ConstructorParameters<typeof Client>[1]): HealthClient {
  const client = new HealthClient(`127.0.0.1:${port}`, channelCredentials)
  open.push(client)
  return client
}

function check(client: HealthClient): Promise<string> {
  return new Promise((resolve) => {
    client.check({ service: '' }, new Metadata(), { deadline: Date.now() + 10_000 }, (error) =>
      resolve(error ? status[error.code]! : 'OK'),
    )
  })
}

function odd(uri: string) {
  return oddCertificate(partner, [uri], { notBefore: -10, notAfter: 600 })
}
