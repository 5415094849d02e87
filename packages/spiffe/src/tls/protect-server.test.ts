import { once } from 'node:events'
import type { Server as HttpsServer } from 'node:https'
import { createServer } from 'node:https'
import { setTimeout } from 'node:timers/promises'
import type { TLSSocket } from 'node:tls'
import { connect } from 'node:tls'
import { createTestAuthority } from '@countersign/spiffe/testing'
import {
  allowAny,
  allowId,
  allowTrustDomain,
  createHttpsServer,
  createTlsServer,
  type PeerAuthorizer,
  type ProtectOptions,
  peerOf,
  protectServer,
  serverTlsOptions,
} from '@countersign/spiffe/tls'
import { afterEach, describe, expect, it, vi } from 'vitest'
import type { SpiffeError } from '../spiffe-error.ts'
import { listen, oddCertificate, pemOf, talk, testSource } from './test-source.fixture.ts'

/** Milliseconds that a busy machine may take for what comes at once on an idle one. */
const patience = 20_000

const authority = createTestAuthority('example.org')
const partner = createTestAuthority('partner.example')
const stranger = createTestAuthority('example.org')
const source = testSource(authority, '/orders', { federated: [partner.bundle] })
const billing = pemOf(authority.x509Svid('/billing'))
const open: { close(): unknown }[] = []

afterEach(() => {
  for (const one of open.splice(0)) one.close()
})

describe('a protected server', () => {
  it('knows who is calling, by the bundle of the trust domain in the ID', async () => {
    const { port } = await serve(allowAny())
    expect(await talk(port, billing)).toContain('hello spiffe://example.org/billing')
    expect(await talk(port, pemOf(partner.x509Svid('/billing')))).toContain('hello spiffe://partner.example/billing')
  })

  it.each<[string, PeerAuthorizer, boolean]>([
    ['the exact ID', allowId('spiffe://example.org/billing'), true],
    ['another ID', allowId('spiffe://example.org/bill'), false],
    ['the trust domain', allowTrustDomain('example.org'), true],
    ['another trust domain', allowTrustDomain('partner.example'), false],
    ['nobody', allowId(), false],
  ])('lets in by rule: %s', async (_rule, authorize, isIn) => {
    const { port, refused } = await serve(authorize)
    const answer = await talk(port, billing)
    if (isIn) return expect(answer).toContain('hello')
    expect(answer).not.toContain('hello')
    expect(refused).toEqual(['unauthorized_peer'])
  })

  it("does not take a node's agent for a workload of its trust domain", async () => {
    const { port, refused } = await serve(allowTrustDomain('example.org'))
    expect(await talk(port, pemOf(authority.x509Svid('/spire/agent/x509pop/3f2c')))).not.toContain('hello')
    expect(refused).toEqual(['unauthorized_peer'])
  })

  it.each<[string, object, string]>([
    ['without a certificate', {}, 'untrusted_svid'],
    ['with a certificate of a CA of the same name', pemOf(stranger.x509Svid('/billing')), 'untrusted_svid'],
    ['with an ID of our trust domain from the partner’s CA', foreignId(), 'untrusted_svid'],
    ['with an ID of the partner’s trust domain from our CA', swappedId(), 'untrusted_svid'],
    ['with an expired certificate', odd({ notBefore: -60, notAfter: -5 }), 'expired_svid'],
    ['with a certificate of the future', odd({ notBefore: 60, notAfter: 600 }), 'expired_svid'],
    ['with a plain certificate of our CA', plain({ commonName: 'billing' }), 'invalid_svid'],
    [
      'with two SPIFFE IDs',
      plain({ uris: ['spiffe://example.org/billing', 'spiffe://example.org/x'] }),
      'invalid_svid',
    ],
    ['with the trust domain itself as ID', plain({ uris: ['spiffe://example.org'] }), 'invalid_svid'],
  ])('refuses a client %s before the application sees it', async (_who, client, code) => {
    const { port, refused, connections } = await serve(allowAny())
    expect(await talk(port, client)).not.toContain('hello')
    await vi.waitFor(() => expect(refused).toEqual([code]), patience)
    expect(connections()).toBe(0)
    // And goes on serving the others.
    expect(await talk(port, billing)).toContain('hello')
  })

  it('refuses whom a rule fails on, and whom a rule answers with a promise, and lives', async () => {
    const failing = await serve(() => {
      throw new Error('the directory is away')
    })
    expect(await talk(failing.port, billing)).not.toContain('hello')
    expect(failing.refused).toEqual(['unauthorized_peer'])
    const asynchronous = await serve((async () => true) as unknown as PeerAuthorizer)
    expect(await talk(asynchronous.port, billing)).not.toContain('hello')
  })

  it('lives when a client asks for odd server names', async () => {
    const { port } = await serve(allowAny())
    for (const servername of ['x'.repeat(255), 'ü.example', '*.example.org', 'a\u0000b', '..', ' ']) {
      await talk(port, { ...billing, servername }).catch(() => {})
    }
    expect(await talk(port, billing)).toContain('hello')
  })

  it('refuses a client whose certificate was revoked, also while it is connected', async () => {
    const svid = authority.x509Svid('/billing')
    const revoked = new Set<string>()
    const { port, refused } = await serve(allowAny(), { isRevoked: (serialNumber) => revoked.has(serialNumber) })
    const socket = connect({ port, host: '127.0.0.1', rejectUnauthorized: false, ...pemOf(svid) })
    const closed = new Promise((resolve) => socket.on('close', resolve))
    socket.on('error', () => {})
    await ask(socket)
    revoked.add(svid.certificates[0]!.serialNumber)
    await closed
    expect(await talk(port, pemOf(svid))).not.toContain('hello')
    expect(refused).toEqual(['untrusted_svid'])
  })

  it('never resumes a session, whose client would not be checked again', async () => {
    const { port } = await serve(allowAny())
    for (const maxVersion of ['TLSv1.2', 'TLSv1.3'] as const) {
      let session: Buffer | undefined
      const first = connect({ port, host: '127.0.0.1', rejectUnauthorized: false, maxVersion, ...billing })
      first.on('session', (ticket) => {
        session = ticket
      })
      await ask(first)
      session ??= first.getSession()
      first.destroy()
      const second = connect({ port, host: '127.0.0.1', rejectUnauthorized: false, maxVersion, session, ...billing })
      await ask(second)
      expect(second.isSessionReused()).toBe(false)
      second.destroy()
    }
  })

  it('does not speak what is older than TLS 1.2', async () => {
    const { port } = await serve(allowAny())
    const old = { minVersion: 'TLSv1.1', maxVersion: 'TLSv1.1', ciphers: 'DEFAULT@SECLEVEL=0' } as const
    expect(await talk(port, { ...billing, ...old })).toMatch(/^(error|closed)/)
  })

  it('shows the newest certificate on new connections at once', async () => {
    const rotating = testSource(authority, '/orders')
    const server = createHttpsServer(rotating, allowAny(), (_request, response) => response.end())
    open.push(server)
    const port = await listen(server)
    for (let round = 0; round < 3; round += 1) {
      rotating.rotate()
      const socket = connect({ port, host: '127.0.0.1', rejectUnauthorized: false, ...billing })
      await ask(socket)
      expect(socket.getPeerCertificate().serialNumber.toLowerCase()).toBe(rotating.svid().certificates[0]!.serialNumber)
      socket.destroy()
    }
  })

  it('lets nobody in while it has no identity, and goes on when it has one again', async () => {
    const rotating = testSource(authority, '/orders')
    const server = createHttpsServer(rotating, allowAny(), (_request, response) => response.end('hello'))
    open.push(server)
    const port = await listen(server)
    rotating.set(undefined)
    expect(await talk(port, billing)).toMatch(/^error/)
    rotating.rotate()
    expect(await talk(port, billing)).toContain('hello')
  })

  it('ends a connection when the authority behind its client leaves the bundle', async () => {
    const own = createTestAuthority('example.org')
    const rotating = testSource(own, '/orders')
    const server = createHttpsServer(rotating, allowAny(), (_request, response) => response.end('hello'))
    open.push(server)
    const socket = connect({
      port: await listen(server),
      host: '127.0.0.1',
      rejectUnauthorized: false,
      ...pemOf(own.x509Svid('/billing')),
    })
    const closed = new Promise((resolve) => socket.on('close', resolve))
    socket.on('error', () => {})
    await ask(socket)
    rotating.set(rotating.svid(), [createTestAuthority('example.org').bundle])
    await closed
  })

  it('drains a connection before its client’s certificate ends, and ends it with the certificate', async () => {
    let now = Date.now()
    const { port } = await serve(allowAny(), { now: () => now })
    const socket = connect({ port, host: '127.0.0.1', rejectUnauthorized: false, ...billing })
    const closed = new Promise((resolve) => socket.on('close', resolve))
    socket.on('error', () => {})
    expect(await ask(socket)).toMatch(/Connection: keep-alive/i)
    now += 0.8 * 3600_000
    while (!/Connection: close/i.test(await ask(socket))) await setTimeout(50)
    await closed
    const idle = connect({ port, host: '127.0.0.1', rejectUnauthorized: false, ...billing })
    const ended = new Promise((resolve) => idle.on('close', resolve))
    idle.on('error', () => {})
    await ask(idle)
    now += 0.3 * 3600_000
    await ended
  })

  it('lets nobody in by its options alone', async () => {
    const server = createServer({ ...serverTlsOptions(), ...pemOf(authority.x509Svid('/orders')) }, (_, response) =>
      response.end('hello'),
    )
    open.push(server)
    const port = await listen(server)
    expect(await talk(port, billing)).not.toContain('hello')
    protectServer(server, source, allowAny())
    expect(await talk(port, billing)).toContain('hello')
  })

  it('hides refused connections from listeners that come later, and from a plain TLS server’s too', async () => {
    const handled = vi.fn((socket: TLSSocket) => socket.end(`hello ${peerOf(socket)?.id}`))
    const server = createTlsServer(source, allowId('spiffe://example.org/billing'), handled)
    open.push(server)
    const later = vi.fn()
    server.on('secureConnection', later)
    const port = await listen(server)
    expect(await talk(port, pemOf(authority.x509Svid('/other')))).not.toContain('hello')
    expect([handled, later].map((listener) => listener.mock.calls.length)).toEqual([0, 0])
    expect(await talk(port, billing)).toBe('hello spiffe://example.org/billing')
    expect([handled, later].map((listener) => listener.mock.calls.length)).toEqual([1, 1])
  })
})

async function serve(authorize: PeerAuthorizer, options: ProtectOptions = {}) {
  const refused: string[] = []
  let seen = 0
  const server: HttpsServer = createHttpsServer(
    source,
    authorize,
    (request, response) => response.end(`hello ${peerOf(request)?.id}`),
    { onRefused: (error: SpiffeError) => refused.push(error.code), ...options },
  )
  server.on('secureConnection', () => {
    seen += 1
  })
  open.push(server)
  return { port: await listen(server), refused, connections: () => seen }
}

/** One request on a connection that is kept, and the head of its answer. */
async function ask(socket: TLSSocket): Promise<string> {
  socket.write('GET / HTTP/1.1\r\nHost: x\r\n\r\n')
  const [chunk] = await once(socket, 'data')
  return chunk.toString('latin1')
}

function foreignId() {
  return oddCertificate(partner, ['spiffe://example.org/billing'], { notBefore: -10, notAfter: 600 })
}

function swappedId() {
  return oddCertificate(authority, ['spiffe://partner.example/billing'], { notBefore: -10, notAfter: 600 })
}

function odd(times: { notBefore: number; notAfter: number }) {
  return oddCertificate(authority, ['spiffe://example.org/billing'], times)
}

function plain(names: { commonName?: string; uris?: string[] }) {
  const { certificatePem, keyPem } = authority.certificate(names)
  return { cert: certificatePem, key: keyPem }
}
