import { X509Certificate } from 'node:crypto'
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Agent, type AgentOptions, createAgent, createUnixAttestor } from '@countersign/agent'
import { toPem } from '@countersign/spiffe'
import { SpiffeWorkloadAPIClient, type X509SVIDResponse } from '@countersign/spiffe/protocol/workload-api'
import { createTestAuthority } from '@countersign/spiffe/testing'
import { type ClientReadableStream, credentials, Metadata, status } from '@grpc/grpc-js'
import { afterAll, beforeAll, expect, it, onTestFinished } from 'vitest'
import { describeWith } from '../describe-with.ts'
import { until } from '../until.ts'
import { findSpireServer, type SpireServer, startSpireServer } from './spire-server.ts'

const me = `unix:uid:${process.getuid?.()}`
const popAuthority = createTestAuthority('nodes.test')

await describeWith(findSpireServer, "our agent at SPIRE's server", (program) => {
  let server: SpireServer
  beforeAll(async () => {
    server = await startSpireServer(program, toPem(popAuthority.issuer.certificate.der))
  })
  afterAll(() => server?.stop())

  it('joins by a token, serves a workload, and renews both identities without a gap', async () => {
    const { agent, socket } = await joined(server)
    await createEntry(server, agentId(agent), '/rotating')
    await untilSynchronized(agent, 1)
    const stream = watch(socket)
    const own = agent.status().expires_at as number
    const seen = await collect(stream, 3)
    const certificates = seen.map(({ svids }) => new X509Certificate(svids[0]?.x509Svid as Buffer))
    expect(new Set(certificates.map(({ serialNumber }) => serialNumber)).size).toBe(3)
    expect(seen[0]?.svids[0]?.spiffeId).toBe('spiffe://example.org/rotating')
    for (const certificate of certificates)
      expect(certificate.validToDate.getTime()).toBeGreaterThan(Date.now() - 20_000)
    expect(agent.status().expires_at).toBeGreaterThan(own)
    stream.cancel()
  })

  it('joins by a certificate, judging the server by nothing but its ID, and attests again before it ends', async () => {
    const node = popAuthority.certificate({ commonName: 'node-1' })
    const folder = testFolder()
    writeFileSync(join(folder, 'node.pem'), node.certificatePem)
    writeFileSync(join(folder, 'node.key'), node.keyPem, { mode: 0o600 })
    const files = { certificateFile: join(folder, 'node.pem'), keyFile: join(folder, 'node.key') }
    const { agent, socket } = await started(server, { node: { x509pop: files }, bootstrap: { insecure: true } })
    const before = agent.status().expires_at as number
    expect(agentId(agent)).toMatch(/^spiffe:\/\/example\.org\/spire\/agent\/x509pop\/[0-9a-f]{40}$/)
    await createEntry(server, agentId(agent), '/pop')
    await untilSynchronized(agent, 1)
    expect((await fetched(socket)).svids[0]?.spiffeId).toBe('spiffe://example.org/pop')
    await until(() => (agent.status().expires_at as number) > before)
    // Evicted, it simply attests again.
    await server.run('agent', 'evict', '-spiffeID', agentId(agent))
    await until(() => (agent.status().expires_at as number) > before + 5)
    expect((await fetched(socket)).svids).toHaveLength(1)
  })

  it('gives out JWT-SVIDs that it also verifies', async () => {
    const { agent, socket } = await joined(server)
    await createEntry(server, agentId(agent), '/jwt')
    await untilSynchronized(agent, 1)
    await fetched(socket)
    const client = open(socket)
    const svid = await new Promise<string>((resolve, reject) =>
      client.fetchJwtsvid({ audience: ['billing'], spiffeId: '' }, header(), (error, response) =>
        error ? reject(error) : resolve(response.svids[0]?.svid as string),
      ),
    )
    const validated = await new Promise<{ spiffeId: string }>((resolve, reject) =>
      client.validateJwtsvid({ audience: 'billing', svid }, header(), (error, response) =>
        error ? reject(error) : resolve(response),
      ),
    )
    expect(validated.spiffeId).toBe('spiffe://example.org/jwt')
  })

  it('synchronizes more entries than fit in one page', async () => {
    const { agent } = await joined(server)
    const entries = Array.from({ length: 520 }, (_, index) => ({
      parent_id: agentId(agent),
      spiffe_id: `spiffe://example.org/many/${index}`,
      selectors: [{ type: 'unix', value: 'uid:4242' }],
      x509_svid_ttl: 60,
    }))
    const file = join(testFolder(), 'entries.json')
    writeFileSync(file, JSON.stringify({ entries }))
    await server.run('entry', 'create', '-data', file)
    await until(() => agent.status().entries >= 520)
    await until(() => agent.status().cached_svids >= 520)
  })

  it('ends the stream of a workload whose entry is deleted', async () => {
    const { agent, socket } = await joined(server)
    const id = await createEntry(server, agentId(agent), '/short-lived')
    await untilSynchronized(agent, 1)
    const stream = watch(socket)
    await collect(stream, 1)
    const ended = new Promise((resolve) => stream.on('error', resolve))
    await server.run('entry', 'delete', '-entryID', id)
    expect(await ended).toMatchObject({ code: status.PERMISSION_DENIED, details: 'no identity issued' })
  })

  it('stops when it is banned', async () => {
    const { agent } = await joined(server)
    await server.run('agent', 'ban', '-spiffeID', agentId(agent))
    expect(await agent.removed).toMatchObject({ code: 'node_removed' })
  })
})

function agentId(agent: Agent): string {
  return agent.status().spiffe_id as string
}

async function joined(server: SpireServer): Promise<{ agent: Agent; socket: string }> {
  const { value } = await server.json('token', 'generate')
  return started(server, { node: { joinToken: value } })
}

async function started(server: SpireServer, options: Partial<AgentOptions>): Promise<{ agent: Agent; socket: string }> {
  const { address, trustDomain, bundleFile } = server
  const socket = join(testFolder(), 'agent.sock')
  const agent = createAgent({
    server: address,
    trustDomain,
    bootstrap: { bundleFile },
    socket,
    syncIntervalSeconds: 1,
    attestors: [createUnixAttestor()],
    ...options,
  })
  onTestFinished(() => agent.stop())
  await agent.start()
  await agent.ready
  return { agent, socket }
}

/** @returns the entry's id */
async function createEntry(server: SpireServer, parentId: string, path: string): Promise<string> {
  const id = `spiffe://example.org${path}`
  const { results } = await server.json('entry', 'create', '-parentID', parentId, '-spiffeID', id, '-selector', me)
  return results[0].entry.id
}

/** SPIRE's server shows agents a new entry within five seconds. */
function untilSynchronized(agent: Agent, entries: number): Promise<void> {
  return until(() => agent.status().entries >= entries)
}

function testFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'agent-'))
  chmodSync(folder, 0o755)
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
  return folder
}

function open(socket: string): SpiffeWorkloadAPIClient {
  const client = new SpiffeWorkloadAPIClient(`unix://${socket}`, credentials.createInsecure())
  onTestFinished(() => client.close())
  return client
}

function header(): Metadata {
  const metadata = new Metadata()
  metadata.set('workload.spiffe.io', 'true')
  return metadata
}

function watch(socket: string): ClientReadableStream<X509SVIDResponse> {
  return open(socket).fetchX509Svid({}, header())
}

async function collect(stream: ClientReadableStream<X509SVIDResponse>, count: number): Promise<X509SVIDResponse[]> {
  const messages: X509SVIDResponse[] = []
  return new Promise((resolve, reject) => {
    stream.on('error', reject)
    stream.on('data', (message) => {
      messages.push(message)
      if (messages.length === count) resolve(messages)
    })
  })
}

async function fetched(socket: string): Promise<X509SVIDResponse> {
  const stream = watch(socket)
  try {
    return (await collect(stream, 1))[0] as X509SVIDResponse
  } finally {
    stream.cancel()
  }
}
