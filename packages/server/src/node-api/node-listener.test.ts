import { once } from 'node:events'
import { connect as connectTcp, type Socket } from 'node:net'
import { connect as connectTls, type TLSSocket } from 'node:tls'
import { toPem } from '@countersign/spiffe'
import { afterEach, expect, it } from 'vitest'
import {
  ask,
  attestByToken,
  forgedIdentity,
  newKey,
  refusal,
  startTestNodeServer,
  type TestAgent,
  type TestNodeServer,
} from './node-api.fixture.ts'

let server: TestNodeServer
const sockets: Socket[] = []
afterEach(async () => {
  for (const socket of sockets.splice(0)) socket.destroy()
  await server?.close()
})

function tcp(localAddress = '127.0.0.1'): Socket {
  const socket = connectTcp({ port: server.nodeApi.port, host: '127.0.0.1', localAddress })
    .on('error', () => {})
    .resume()
  sockets.push(socket)
  return socket
}

function tls(options: object = {}): TLSSocket {
  const socket = connectTls({
    port: server.nodeApi.port,
    host: '127.0.0.1',
    ca: server.roots(),
    checkServerIdentity: () => undefined,
    ALPNProtocols: ['h2'],
    ...options,
  }).on('error', () => {})
  sockets.push(socket)
  return socket
}

/** True once it is closed; false when it is shaken hands with, or nothing happens for long. */
function isClosed(socket: Socket, milliseconds = 10_000): Promise<boolean> {
  return new Promise((resolve) => {
    if (socket.closed) resolve(true)
    socket.once('close', () => resolve(true))
    socket.once('secureConnect', () => setTimeout(() => resolve(socket.closed), 3_000))
    setTimeout(() => resolve(false), milliseconds)
  })
}

/** Whether somebody else is served. */
async function getBundle(): Promise<string> {
  const get = ({ bundle }: TestAgent) => ask(bundle.getBundle, bundle, { outputMask: undefined })
  return (await server.asAgent(undefined, get)).trustDomain
}

it('ends handshakes that do not come to an end, and holds only so many of them (83)', async () => {
  server = await startTestNodeServer({
    nodeApi: { bounds: { handshakesPerAddress: 20, handshakeMilliseconds: 2_000 } },
  })
  const slow = Array.from({ length: 100 }, () => tcp())
  await expect.poll(() => slow.filter((socket) => socket.closed).length, { interval: 5, timeout: 10_000 }).toBe(80)
  expect(server.nodeApi.connections).toBe(20)
  await expect.poll(() => server.nodeApi.connections, { timeout: 10_000 }).toBe(0)
  expect(await getBundle()).toBe('example.org')
})

it('takes only so many new connections of one address in a time (83)', async () => {
  const perAddress = { name: 'few', quota: 5, windowSeconds: 3_600 }
  server = await startTestNodeServer({ nodeApi: { bounds: { perAddress } } })
  const flood = Array.from({ length: 50 }, () => tls())
  const closed = await Promise.all(flood.map((socket) => isClosed(socket)))
  expect(closed.filter((each) => !each)).toHaveLength(5)
})

it("has few places for who is no agent, be it with a certificate, and none of them is an agent's", async () => {
  server = await startTestNodeServer({ nodeApi: { bounds: { strangersPerAddress: 3 } } })
  const agent = await attestByToken(server)
  const strangers = Array.from({ length: 3 }, () => tls())
  await Promise.all(strangers.map((socket) => once(socket, 'secureConnect')))
  expect(await isClosed(tls())).toBe(true)
  const workload = forgedIdentity(server, { uris: ['spiffe://example.org/billing'] })
  const pem = {
    key: workload.key.export({ type: 'pkcs8', format: 'pem' }),
    cert: toPem(workload.svid.certChain[0] as Buffer),
  }
  expect(await isClosed(tls(pem))).toBe(true)
  const client = server.connect(agent)
  expect((await ask(client.bundle.getBundle, client.bundle, { outputMask: undefined })).trustDomain).toBe('example.org')
})

it('has a place for who comes from elsewhere when a few addresses have taken all, and for half a site behind one (83)', async () => {
  const bounds = { strangers: 20, strangersPerAddress: 10, handshakes: 20, handshakesPerAddress: 10 }
  server = await startTestNodeServer({ nodeApi: { bounds } })
  const takers = ['127.0.0.2', '127.0.0.3']
  const slow = takers.flatMap((address) => Array.from({ length: 10 }, () => tcp(address)))
  await expect.poll(() => server.nodeApi.connections, { timeout: 10_000 }).toBe(20)
  expect(await getBundle()).toBe('example.org')
  for (const socket of slow) socket.destroy()
  await expect.poll(() => server.nodeApi.connections, { timeout: 10_000 }).toBe(0)

  const idle = takers.flatMap((localAddress) => Array.from({ length: 10 }, () => tls({ localAddress }).resume()))
  await Promise.all(idle.map((socket) => once(socket, 'secureConnect')))
  await Promise.all(Array.from({ length: 6 }, () => attestByToken(server)))
  const left = () => idle.filter((socket) => !socket.closed).length
  await expect.poll(left, { timeout: 10_000 }).toBeLessThan(20)
  expect(left()).toBeGreaterThanOrEqual(14)
}, 30_000)

it('speaks TLS 1.2 and 1.3, HTTP/2 only, and resumes no session (53)', async () => {
  server = await startTestNodeServer()
  for (const version of ['TLSv1.2', 'TLSv1.3'] as const) {
    const first = tls({ minVersion: version, maxVersion: version })
    const session = once(first, 'session', { signal: AbortSignal.timeout(500) }).then(
      ([ticket]) => ticket as Buffer,
      () => first.getSession(),
    )
    await once(first, 'secureConnect')
    expect([first.getProtocol(), first.alpnProtocol]).toEqual([version, 'h2'])
    const again = tls({ minVersion: version, maxVersion: version, session: await session })
    await once(again, 'secureConnect')
    expect(again.isSessionReused()).toBe(false)
  }
  const old = { maxVersion: 'TLSv1.1', minVersion: 'TLSv1.1', ciphers: 'DEFAULT@SECLEVEL=0' }
  for (const options of [old, { ALPNProtocols: ['http/1.1'] }, { ALPNProtocols: undefined }]) {
    expect(await isClosed(tls(options))).toBe(true)
  }
})

it('shows its own SVID, and a new one to new connections once half of its time is over', async () => {
  let clock = -1_801_000
  server = await startTestNodeServer({ settings: { nowMilliseconds: () => Date.now() + clock } })
  const serial = async () => {
    const socket = tls()
    await once(socket, 'secureConnect')
    expect(socket.getPeerCertificate().subjectaltname).toBe('URI:spiffe://example.org/spire/server')
    return socket.getPeerCertificate().serialNumber
  }
  const before = await serial()
  expect(await serial()).toBe(before)
  clock = 0
  await expect.poll(serial, { timeout: 10_000 }).not.toBe(before)
})

it('closes connections after a while, and the next call finds a new one', async () => {
  server = await startTestNodeServer({ nodeApi: { connectionMilliseconds: 500 } })
  const agent = await attestByToken(server)
  const client = server.connect(agent)
  const call = () => ask(client.entry.getAuthorizedEntries, client.entry, { outputMask: undefined })
  const before = server.nodeApi.accepted
  while (server.nodeApi.accepted <= before + 3) {
    // One that was on its way at the very moment is asked again, as agents do.
    await call().catch(call)
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
})

it('refuses a message that is too large for who sends it, before it is read', async () => {
  server = await startTestNodeServer()
  const stranger = server.connect()
  const call = stranger.agent.attestAgent()
  const ended = new Promise<{ code: number }>((resolve) => call.on('error', (error) => resolve(error as never)))
  const data = { type: 'x509pop', payload: Buffer.alloc(70_000) }
  call.write({ step: { $case: 'params', value: { data, params: { csr: newKey().csr } } } })
  expect(await ended).toMatchObject({ code: 8 })
  stranger.close()

  const agent = server.connect(await attestByToken(server))
  const params = [{ entryId: 'x', csr: Buffer.alloc(3 * 1024 * 1024) }]
  const refused = await refusal(ask(agent.svid.batchNewX509Svid, agent.svid, { params }))
  expect(refused.code).toBe('RESOURCE_EXHAUSTED')
  agent.close()
  expect(server.errors).toEqual([])
})

it('survives what is no TLS, no HTTP/2, and no gRPC (83)', async () => {
  server = await startTestNodeServer({ nodeApi: { bounds: { handshakeMilliseconds: 500 } } })
  for (const bytes of ['GET / HTTP/1.1\r\n\r\n', '\x16\x03\x01\xff\xff', '\0'.repeat(1_000)]) {
    const socket = tcp()
    socket.write(bytes, 'latin1')
    expect(await isClosed(socket)).toBe(true)
  }
  for (const bytes of ['GET / HTTP/1.1\r\n\r\n', `PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n${'\xff'.repeat(40)}`]) {
    const socket = tls().resume()
    await once(socket, 'secureConnect')
    socket.write(bytes, 'latin1')
    await expect.poll(() => socket.closed, { timeout: 10_000 }).toBe(true)
  }
  expect(await getBundle()).toBe('example.org')
})

it('lets one agent have a few connections, not all that there are', async () => {
  server = await startTestNodeServer({ nodeApi: { bounds: { perAgent: 4 } } })
  const [greedy, other] = [await attestByToken(server), await attestByToken(server)]
  const pem = {
    key: greedy.key.export({ type: 'pkcs8', format: 'pem' }),
    cert: toPem(greedy.svid.certChain[0] as Buffer),
  }
  const closed = await Promise.all(Array.from({ length: 10 }, () => isClosed(tls(pem))))
  expect(closed.filter((each) => !each)).toHaveLength(4)
  const client = server.connect(other)
  await ask(client.entry.getAuthorizedEntries, client.entry, { outputMask: undefined })
})
