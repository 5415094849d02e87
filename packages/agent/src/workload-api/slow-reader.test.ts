import { type ClientHttp2Session, type ClientHttp2Stream, connect as connectHttp2 } from 'node:http2'
import { connect } from 'node:net'
import { toPem } from '@countersign/spiffe'
import { expect, it, onTestFinished } from 'vitest'
import { testAgent, testServer } from '../agent.fixture.ts'
import type { WorkloadAttestor } from '../attestors/workload-attestor.ts'
import { fakeEntry } from '../spire-server.fixture.ts'
import { fetchX509 } from '../workload-client.fixture.ts'

const secrets = '/envoy.service.secret.v3.SecretDiscoveryService/StreamSecrets'

const attestor: WorkloadAttestor = { name: 'test', attest: async () => [{ type: 'test', value: 'web' }] }

it.each([
  ['FetchX509SVID', '/SpiffeWorkloadAPI/FetchX509SVID', (svid: Buffer) => svid],
  ['StreamSecrets', secrets, toPem],
])(
  'keeps one message for a workload that does not read %s, and sends the newest when it does',
  async (_name, path, inMessage) => {
    const server = await testServer()
    server.entries = [fakeEntry('/web', ['test:web'])]
    const { agent, socket } = testAgent(server, { syncIntervalSeconds: 0.05, attestors: [attestor] })
    await agent.start()
    await agent.ready

    const session = connectHttp2('http://localhost', {
      createConnection: () => connect(socket),
      settings: { initialWindowSize: 0 },
    })
    onTestFinished(() => session.destroy())
    const messages = ask(session, path)
    await expect.poll(() => agent.status().workloads, { timeout: 20_000 }).toBe(1)
    for (let rotations = 0; rotations < 5; rotations += 1) {
      const before = server.batches.length
      const [entry] = server.entries
      server.entries = [{ ...entry!, revisionNumber: entry!.revisionNumber + 1 }]
      await expect.poll(() => server.batches.length, { interval: 5, timeout: 10_000 }).toBe(before + 1)
      await new Promise((resolve) => setTimeout(resolve, 20))
    }
    expect(messages()).toHaveLength(0)

    const newest = (await fetchX509(socket)).svids[0]!.x509Svid
    session.settings({ initialWindowSize: 65_535 })
    await expect.poll(() => messages().length, { timeout: 10_000 }).toBe(2)
    await new Promise((resolve) => setTimeout(resolve, 100))
    expect(messages()).toHaveLength(2)
    expect(messages().map((message) => message.includes(inMessage(newest)))).toEqual([false, true])
  },
)

/** @returns the messages that came so far */
function ask(session: ClientHttp2Session, path: string): () => Buffer[] {
  const stream: ClientHttp2Stream = session.request({
    ':method': 'POST',
    ':path': path,
    'content-type': 'application/grpc',
    te: 'trailers',
    'workload.spiffe.io': 'true',
  })
  let received = Buffer.alloc(0)
  stream.on('error', () => {})
  stream.on('data', (chunk: Buffer) => {
    received = Buffer.concat([received, chunk])
  })
  // An empty request: the length of its message is 0.
  stream.write(Buffer.alloc(5))
  if (path !== secrets) stream.end()
  return () => {
    const messages: Buffer[] = []
    for (let at = 0; at + 5 <= received.length; ) {
      const end = at + 5 + received.readUInt32BE(at + 1)
      if (end <= received.length) messages.push(received.subarray(at + 5, end))
      at = end
    }
    return messages
  }
}
