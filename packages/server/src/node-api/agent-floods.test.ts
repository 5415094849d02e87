import { once } from 'node:events'
import { type ClientHttp2Session, type ClientHttp2Stream, connect as connectHttp2 } from 'node:http2'
import { gzipSync } from 'node:zlib'
import { formatPemCertificates, parseCertificate } from '@countersign/spiffe'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import {
  agentId,
  ask,
  attestByToken,
  newKey,
  refusal,
  startTestNodeServer,
  type TestIdentity,
  type TestNodeServer,
} from './node-api.fixture.ts'
import { defaultNodeLimits } from './node-limits.ts'

let server: TestNodeServer
let identity: TestIdentity
const sessions: ClientHttp2Session[] = []
beforeEach(async () => {
  const svidsPerNode = { name: 'node_svids', quota: 20, windowSeconds: 3600, burst: 20 }
  server = await startTestNodeServer({ nodeApi: { limits: { ...defaultNodeLimits, svidsPerNode } } })
  identity = await attestByToken(server)
})
afterEach(async () => {
  for (const session of sessions.splice(0)) session.destroy()
  await server.close()
})

it('lets nobody guess join tokens: an address has so many attempts, right ones and wrong ones', async () => {
  const attestationsPerAddress = { name: 'node_attestations', quota: 5, windowSeconds: 3600, burst: 5 }
  const guarded = await startTestNodeServer({ nodeApi: { limits: { ...defaultNodeLimits, attestationsPerAddress } } })
  try {
    const right = await guarded.joinToken()
    for (let guess = 0; guess < 5; guess++) {
      expect(await refusal(attestByToken(guarded, `guess-${guess}`))).toMatchObject({ code: 'INVALID_ARGUMENT' })
    }
    for (const token of ['guess-5', right]) {
      expect(await refusal(attestByToken(guarded, token))).toMatchObject({ code: 'RESOURCE_EXHAUSTED' })
    }
    expect(await guarded.events('node.refused')).toHaveLength(5)
  } finally {
    await guarded.close()
  }
})

describe('an agent that floods', () => {
  it('has a hundred calls open at once and no more, over all its connections', async () => {
    let refused = 0
    for (let connections = 0; connections < 3; connections++) {
      const session = await openSession()
      for (let calls = 0; calls < 50; calls++) {
        const stream = begin(session, '/spire.api.server.svid.v1.SVID/BatchNewX509SVID')
        stream.write(frame(1_000_000, Buffer.alloc(50_000)))
        stream.on('response', (headers) => {
          if (headers['grpc-status'] === '8') refused += 1
        })
      }
    }
    await expect.poll(() => refused, { timeout: 10_000 }).toBe(50)
    for (const session of sessions.splice(0)) session.destroy()
    const client = server.connect(identity)
    await expect
      .poll(() => ask(client.agent.postStatus, client.agent, { currentBundleSerial: 0, agentVersion: '1' }))
      .toBeDefined()
  })

  it('pays for what it reports as ended, however often it reports the same', async () => {
    const client = server.connect(identity, { countersign: true })
    const { id: entryId } = await server.entry({ parentId: agentId(identity) })
    const { results } = await ask(client.svid.batchNewX509Svid, client.svid, {
      params: [{ entryId, csr: newKey().csr }],
    })
    const { serialNumber } = parseCertificate(results[0]?.svid?.certChain[0] as Buffer)
    const report = () =>
      ask(client.workloads.reportEnded, client.workloads, {
        entryId,
        x509SerialNumbers: [serialNumber],
        jwtIds: [],
        reason: '',
      })
    for (let count = 0; count < 19; count++) expect(await report()).toEqual({ revoked: 1 })
    expect(await refusal(report())).toMatchObject({ code: 'RESOURCE_EXHAUSTED' })
    expect(await server.events('svid.revoked')).toHaveLength(19)
  })

  it('gets no message unpacked that is larger than one may be', async () => {
    const session = await openSession()
    const stream = begin(session, '/spire.api.server.svid.v1.SVID/BatchNewX509SVID', { 'grpc-encoding': 'gzip' })
    const bomb = frame(undefined, gzipSync(Buffer.alloc(64 * 1024 * 1024)))
    bomb[0] = 1
    stream.end(bomb)
    const [headers] = await once(stream, 'response')
    expect(headers['grpc-status']).toBe('8')
  })
})

function openSession(): Promise<ClientHttp2Session> {
  const session = connectHttp2(`https://${server.address}`, {
    rejectUnauthorized: false,
    ALPNProtocols: ['h2'],
    key: identity.key.export({ type: 'pkcs8', format: 'pem' }) as string,
    cert: formatPemCertificates(identity.svid.certChain),
  })
  session.on('error', () => {})
  sessions.push(session)
  return new Promise((resolve) => session.once('connect', () => resolve(session)))
}

function begin(session: ClientHttp2Session, path: string, headers: Record<string, string> = {}): ClientHttp2Stream {
  const stream = session.request({
    ':method': 'POST',
    ':path': path,
    'content-type': 'application/grpc',
    te: 'trailers',
    ...headers,
  })
  stream.on('error', () => {})
  return stream
}

/** A message as gRPC frames it, of which more may be said to come than does. */
function frame(announcedBytes: number | undefined, content: Buffer): Buffer {
  const head = Buffer.alloc(5)
  head.writeUInt32BE(announcedBytes ?? content.length, 1)
  return Buffer.concat([head, content])
}
