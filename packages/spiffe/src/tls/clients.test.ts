import { createSecureServer, connect as http2Connect } from 'node:http2'
import { createServer, request as httpsRequest } from 'node:https'
import { setTimeout } from 'node:timers/promises'
import { createServer as createTlsServer, connect as tlsConnect } from 'node:tls'
import { createTestAuthority, type TestAuthority } from '@countersign/spiffe/testing'
import {
  allowAny,
  allowId,
  clientTlsOptions,
  createHttp2Server,
  createHttpsServer,
  httpsAgent,
  type PeerAuthorizer,
  peerOf,
  secureConnect,
} from '@countersign/spiffe/tls'
import { createSpiffeFetch, undiciDispatcher } from '@countersign/spiffe/undici'
import { request as undiciRequest } from 'undici'
import { afterEach, describe, expect, it } from 'vitest'
import type { SpiffeError } from '../spiffe-error.ts'
import { listen, oddCertificate, pemOf, testSource } from './test-source.fixture.ts'

const authority = createTestAuthority('example.org')
const partner = createTestAuthority('partner.example')
const stranger = createTestAuthority('example.org')
const source = testSource(authority, '/billing', { federated: [partner.bundle] })
const orders = 'spiffe://example.org/orders'
const open: { close(): unknown }[] = []

afterEach(() => {
  for (const one of open.splice(0)) one.close()
})

/** Every way to call, each giving the answer's body. */
const ways: [string, (port: number, authorize: PeerAuthorizer) => Promise<string>][] = [
  ['secureConnect', throughTls],
  ['https.request with an agent', throughAgent],
  ['https.request with options', throughOptions],
  ['undici', throughUndici],
  ['fetch', throughFetch],
]

describe.each(ways)('a client that calls by %s', (_way, call) => {
  it('talks to the server with the ID that was allowed, whatever its host name', async () => {
    expect(await call(await serveWith(authority), allowId(orders))).toBe('hello spiffe://example.org/billing')
  })

  it('does not talk to a server with another ID, not even at the second try', async () => {
    const port = await serveWith(authority)
    for (let round = 0; round < 2; round += 1) {
      const error = await call(port, allowId('spiffe://example.org/other')).catch(causeOf)
      expect(error).toMatchObject({ code: 'unauthorized_peer' })
    }
  })

  it.each<[string, { cert: string; key: string }]>([
    ['that a CA of the same name vouches for', pemOf(stranger.x509Svid('/orders'))],
    ['with our ID from the partner’s CA', odd(partner, orders)],
    ['with the partner’s ID from our CA', odd(authority, 'spiffe://partner.example/orders')],
    ['with an expired certificate', odd(authority, orders, -60, -5)],
    ['with a certificate of the future', odd(authority, orders, 60, 600)],
    ['with a certificate for its host name only', hostCertificate()],
  ])('does not talk to a server %s', async (_which, certificate) => {
    const seen: string[] = []
    const server = createServer({ ...certificate }, (request, response) => {
      seen.push(request.url!)
      response.end('hello')
    })
    open.push(server)
    const error = await call(await listen(server), allowAny()).catch(causeOf)
    expect(error).toBeInstanceOf(Error)
    expect(seen).toEqual([])
  })
})

describe('a client', () => {
  it('says what was wrong with the server', async () => {
    const server = createTlsServer(pemOf(stranger.x509Svid('/orders')))
    open.push(server)
    const port = await listen(server)
    await expect(secureConnect(source, allowAny(), { host: '127.0.0.1', port })).rejects.toMatchObject({
      code: 'untrusted_svid',
    })
    const gone = secureConnect(source, allowAny(), { host: '127.0.0.1', port: 1 })
    await expect(gone).rejects.toMatchObject({ code: 'unavailable' })
  })

  it('does not wait for a server that never shakes hands', async () => {
    const { createServer: createNetServer } = await import('node:net')
    const silent = createNetServer(() => {})
    open.push(silent)
    const port = await listen(silent)
    const attempt = secureConnect(source, allowAny(), { host: '127.0.0.1', port, handshakeTimeoutMilliseconds: 50 })
    await expect(attempt).rejects.toMatchObject({ code: 'unavailable' })
  })

  it('resumes no session, at which Node would leave the check of the server out', async () => {
    // A server that would resume: plain node:tls with tickets, and our certificate.
    const server = createTlsServer({ ...pemOf(authority.x509Svid('/orders')) }, (socket) => socket.end('hello'))
    open.push(server)
    const port = await listen(server)
    let checks = 0
    const authorize = () => {
      checks += 1
      return true
    }
    for (let round = 0; round < 3; round += 1) {
      const socket = await secureConnect(source, authorize, { host: 'localhost', port })
      expect(socket.isSessionReused()).toBe(false)
      for await (const _ of socket);
    }
    expect(checks).toBe(3)
  })

  it('refuses a resumed session even if it is talked into one', async () => {
    const server = createTlsServer({ ...pemOf(authority.x509Svid('/orders')) }, (socket) => socket.end('hello'))
    open.push(server)
    const port = await listen(server)
    let session: Buffer | undefined
    const first = tlsConnect({
      port,
      host: '127.0.0.1',
      ...clientTlsOptions(source, allowAny()),
      maxVersion: 'TLSv1.2',
    })
    first.on('session', (ticket) => {
      session = ticket
    })
    for await (const _ of first);
    const options = { host: '127.0.0.1', port, session, maxVersion: 'TLSv1.2' } as object
    const attempt = secureConnect(source, allowId('spiffe://example.org/other'), options as { host: string })
    await expect(attempt).rejects.toMatchObject({ code: 'unauthorized_peer' })
  })

  it('shares no connection of Node’s global agent, whatever rule made it', async () => {
    const port = await serveWith(authority)
    expect(await throughOptions(port, allowAny())).toContain('hello')
    const error = await throughOptions(port, allowId('spiffe://example.org/other')).catch(causeOf)
    expect(error).toMatchObject({ code: 'unauthorized_peer' })
  })

  it('gives no connection from before a rotation to requests that wait', async () => {
    const rotating = testSource(authority, '/billing')
    const serials: string[] = []
    const server = createHttpsServer(testSource(authority, '/orders'), allowAny(), (request, response) => {
      serials.push(peerOf(request)!.certificate.serialNumber)
      if (serials.length === 1) rotating.rotate()
      response.end('hello')
    })
    open.push(server)
    const port = await listen(server)
    const agent = httpsAgent(rotating, allowId(orders), { maxSockets: 1 })
    const before = rotating.svid().certificates[0]!.serialNumber
    await Promise.all([get(port, agent), get(port, agent), get(port, agent)])
    const after = rotating.svid().certificates[0]!.serialNumber
    expect(serials).toEqual([before, after, after])
    agent.destroy()
  })

  it('knows who answered', async () => {
    const socket = await secureConnect(source, allowAny(), { host: '127.0.0.1', port: await serveWith(authority) })
    expect(peerOf(socket)?.id.toString()).toBe(orders)
    socket.destroy()
  })

  it('speaks HTTP/2 with undici and node:http2, and the server knows the caller of each stream', async () => {
    const server = createHttp2Server(testSource(authority, '/orders'), allowAny(), (request, response) => {
      response.end(`${request.httpVersion} ${peerOf(request)?.id} ${peerOf(request.stream.session)?.id.path}`)
    })
    open.push(server)
    const port = await listen(server)
    const dispatcher = undiciDispatcher(source, allowId(orders), { allowH2: true })
    const { body } = await undiciRequest(`https://127.0.0.1:${port}/`, { dispatcher })
    expect(await body.text()).toBe('2.0 spiffe://example.org/billing /billing')
    await dispatcher.close()
    const session = http2Connect(`https://localhost:${port}`, clientTlsOptions(source, allowId(orders)))
    const stream = session.request({ ':path': '/' })
    let text = ''
    for await (const chunk of stream) text += chunk
    expect(text).toBe('2.0 spiffe://example.org/billing /billing')
    session.close()
  })

  it('gives an HTTP/2 connection up before servers drain it, although no rotation comes', async () => {
    const lasting = testSource(authority, '/billing', { lifetimeSeconds: 3 })
    const server = createSecureServer(pemOf(authority.x509Svid('/orders')), (_request, response) => {
      response.end('hello')
    })
    const sessions = new Set<object>()
    server.on('session', (session) => sessions.add(session))
    open.push(server)
    const port = await listen(server)
    const dispatcher = undiciDispatcher(lasting, allowId(orders), { allowH2: true })
    while (sessions.size < 2) {
      const { body } = await undiciRequest(`https://127.0.0.1:${port}/`, { dispatcher })
      expect(await body.text()).toBe('hello')
      await setTimeout(20)
    }
    await dispatcher.close()
  })

  it('calls nobody over plain http', async () => {
    const dispatcher = undiciDispatcher(source, allowAny())
    const error = await undiciRequest('http://127.0.0.1:1/', { dispatcher }).catch(causeOf)
    expect(error).toMatchObject({ code: 'invalid_configuration' })
    await dispatcher.close()
  })

  it('calls nobody without an identity', async () => {
    const bare = testSource(authority, '/billing')
    bare.set(undefined)
    const port = await serveWith(authority)
    await expect(secureConnect(bare, allowAny(), { host: '127.0.0.1', port })).rejects.toThrow(
      'taken the identity away',
    )
    const agent = httpsAgent(bare, allowAny())
    await expect(get(port, agent)).rejects.toThrow('taken the identity away')
  })
})

async function throughTls(port: number, authorize: PeerAuthorizer): Promise<string> {
  const socket = await secureConnect(source, authorize, { host: 'localhost', port })
  socket.write('GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n')
  let text = ''
  for await (const chunk of socket) text += chunk
  return text.slice(text.indexOf('hello')).trim().split('\r\n')[0]!
}

async function throughAgent(port: number, authorize: PeerAuthorizer): Promise<string> {
  const agent = httpsAgent(source, authorize)
  try {
    return await get(port, agent)
  } finally {
    agent.destroy()
  }
}

function throughOptions(port: number, authorize: PeerAuthorizer): Promise<string> {
  return get(port, undefined, clientTlsOptions(source, authorize))
}

async function throughUndici(port: number, authorize: PeerAuthorizer): Promise<string> {
  const dispatcher = undiciDispatcher(source, authorize)
  open.push(dispatcher)
  const { body } = await undiciRequest(`https://localhost:${port}/`, { dispatcher })
  return body.text()
}

async function throughFetch(port: number, authorize: PeerAuthorizer): Promise<string> {
  const spiffeFetch = createSpiffeFetch(source, authorize)
  open.push(spiffeFetch)
  return (await spiffeFetch(`https://localhost:${port}/`)).text()
}

function get(port: number, agent?: ReturnType<typeof httpsAgent>, options: object = {}): Promise<string> {
  return new Promise((resolve, reject) => {
    const request = httpsRequest({ host: '127.0.0.1', port, ...options, ...(agent && { agent }) }, (response) => {
      let text = ''
      response.on('data', (chunk) => {
        text += chunk
      })
      response.on('end', () => resolve(text))
    })
    request.on('error', reject)
    request.end()
  })
}

async function serveWith(by: TestAuthority): Promise<number> {
  const server = createHttpsServer(testSource(by, '/orders'), allowAny(), (request, response) => {
    response.end(`hello ${peerOf(request)?.id}`)
  })
  open.push(server)
  return listen(server)
}

function odd(by: TestAuthority, uri: string, notBefore = -10, notAfter = 600) {
  return oddCertificate(by, [uri], { notBefore, notAfter })
}

function hostCertificate() {
  const { certificatePem, keyPem } = authority.certificate({ commonName: 'localhost', dnsNames: ['localhost'] })
  return { cert: certificatePem, key: keyPem }
}

/** fetch wraps what went wrong. */
function causeOf(error: Error): SpiffeError {
  return (error.cause instanceof Error && !('code' in error) ? error.cause : error) as SpiffeError
}
