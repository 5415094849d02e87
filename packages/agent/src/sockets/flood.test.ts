import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { type ClientHttp2Session, type ClientHttp2Stream, connect as connectHttp2 } from 'node:http2'
import { connect } from 'node:net'
import { basename, dirname } from 'node:path'
import { createInterface } from 'node:readline'
import { expect, it, onTestFinished } from 'vitest'
import { me, testAgent, testServer } from '../agent.fixture.ts'
import { withoutRoot } from '../peer/callers.fixture.ts'
import { fakeEntry } from '../spire-server.fixture.ts'
import { fetchX509 } from '../workload-client.fixture.ts'

/** Children that each open a hundred connections as this user, and keep them. @returns how many are open just now */
async function holdConnections(socket: string, uid: number, children: number): Promise<() => number> {
  const code = `
    process.setgroups([]); process.setgid(${uid}); process.setuid(${uid})
    const open = new Set()
    const next = (left) => {
      if (left === 0) return setInterval(() => console.log(open.size), 200)
      const socket = require('node:net').connect(${JSON.stringify(basename(socket))})
      socket.on('close', () => open.delete(socket))
      // A full backlog says EAGAIN.
      socket.on('error', (error) => {
        if (error.code !== 'EAGAIN') throw error
        setTimeout(next, 10, left)
      })
      socket.on('connect', () => (open.add(socket), next(left - 1)))
    }
    next(100)
    process.stdin.resume()`
  const counts: number[] = []
  const held = Array.from({ length: children }, async (_, index) => {
    // From within its folder, as the folders above may be root's alone.
    const child = spawn(process.execPath, ['-e', code], { cwd: dirname(socket), stdio: ['pipe', 'pipe', 'inherit'] })
    onTestFinished(() => void child.kill('SIGKILL'))
    createInterface(child.stdout).on('line', (line) => {
      counts[index] = Number(line)
    })
    await Promise.race([once(child.stdout, 'data'), once(child, 'exit').then(() => expect.fail('a child ended'))])
  })
  await Promise.all(held)
  return () => counts.reduce((sum, count) => sum + count, 0)
}

it.skipIf(withoutRoot)(
  'leaves room for others when the processes of one user open all the connections they can (needs root)',
  async () => {
    const server = await testServer()
    server.entries = [fakeEntry('/web', [me])]
    const { agent, socket, logged } = testAgent(server)
    await agent.start()
    await expect.poll(await holdConnections(socket, 12_345, 21), { timeout: 20_000 }).toBe(1_000)
    expect((await fetchX509(socket)).svids).toHaveLength(1)
    expect(logged.filter((line) => line.includes('was refused')).length).toBeLessThanOrEqual(20)
  },
  60_000,
)

it('keeps no more messages that never end than calls may be open, however many connections they come over', async () => {
  const server = await testServer()
  server.entries = [fakeEntry('/web', [me])]
  const { agent, socket } = testAgent(server)
  await agent.start()
  const sessions = Array.from({ length: 25 }, () => openSession(socket))
  let refused = 0
  const streams = sessions.flatMap((session) => Array.from({ length: 100 }, () => beginMessage(session)))
  for (const stream of streams) stream.on('response', (headers) => (refused += headers['grpc-status'] === '8' ? 1 : 0))
  await expect.poll(() => refused, { timeout: 20_000 }).toBe(500)
  for (const session of sessions) session.destroy()
  await expect.poll(async () => (await fetchX509(socket)).svids.length, { timeout: 10_000 }).toBe(1)
}, 60_000)

it.skipIf(withoutRoot)(
  'answers one user in time while another one asks as much as he can (needs root)',
  async () => {
    const server = await testServer()
    server.entries = [fakeEntry('/web', [me])]
    const { agent, socket } = testAgent(server)
    await agent.start()
    await fetchX509(socket)
    const flood = spawn(process.execPath, ['-e', floodOf(socket, 12_345)], { stdio: ['ignore', 'pipe', 'inherit'] })
    onTestFinished(() => void flood.kill('SIGKILL'))
    await once(flood.stdout, 'data')
    for (let count = 0; count < 3; count += 1) {
      const asked = performance.now()
      expect((await fetchX509(socket)).svids).toHaveLength(1)
      expect(performance.now() - asked).toBeLessThan(2_500)
    }
  },
  30_000,
)

it('takes no message that is larger than any request of a workload', async () => {
  const { agent, socket } = testAgent(await testServer())
  await agent.start()
  const session = openSession(socket)
  const stream = beginMessage(session, 100 * 1024)
  const [headers] = await once(stream, 'response')
  expect(headers['grpc-status']).toBe('8')
  session.destroy()
})

/** Has fifteen hundred calls under way at any time; writes a line once some were answered. */
function floodOf(socket: string, uid: number): string {
  return `
    process.setgroups([]); process.setgid(${uid}); process.setuid(${uid})
    let answered = 0
    const validate = { ':method': 'POST', ':path': '/SpiffeWorkloadAPI/ValidateJWTSVID', 'content-type': 'application/grpc', te: 'trailers', 'workload.spiffe.io': 'true' }
    for (let connection = 0; connection < 15; connection++) {
      const session = require('node:http2').connect('http://localhost', { createConnection: () => require('node:net').connect(${JSON.stringify(socket)}) })
      session.on('error', () => {})
      const ask = () => {
        const call = session.request(validate)
        call.on('error', () => {}).resume().on('close', () => { if (++answered === 1500) console.log('flooding'); ask() })
        call.end(Buffer.from([0, 0, 0, 0, 3, 0x0a, 1, 97]))
      }
      for (let count = 0; count < 100; count++) ask()
    }`
}

function openSession(socket: string): ClientHttp2Session {
  const session = connectHttp2('http://localhost', { createConnection: () => connect(socket) })
  session.on('error', () => {})
  onTestFinished(() => session.destroy())
  return session
}

/** A call whose message has so many bytes, of which the last never comes. */
function beginMessage(session: ClientHttp2Session, bytes = 90_000): ClientHttp2Stream {
  const stream = session.request({
    ':method': 'POST',
    ':path': '/SpiffeWorkloadAPI/FetchX509SVID',
    'content-type': 'application/grpc',
    te: 'trailers',
    'workload.spiffe.io': 'true',
  })
  stream.on('error', () => {})
  const head = Buffer.alloc(5)
  head.writeUInt32BE(bytes, 1)
  stream.write(head)
  stream.write(Buffer.alloc(bytes - 1))
  return stream
}
