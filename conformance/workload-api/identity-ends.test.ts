import { type ChildProcess, spawn } from 'node:child_process'
import { X509Certificate } from 'node:crypto'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { parseCertificates, verifyX509Svid } from '@countersign/spiffe'
import { SpiffeWorkloadAPIClient, type X509SVIDResponse } from '@countersign/spiffe/protocol/workload-api'
import { credentials, Metadata } from '@grpc/grpc-js'
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { until } from '../until.ts'
import { idOf, type NodeUnderTest, startNodeUnderTest, trustDomain } from './node-under-test.ts'

const me = `unix:uid:${process.getuid?.()}`
const workloadProgram = fileURLToPath(new URL('../../packages/agent/src/workload-process.fixture.ts', import.meta.url))

describe('our agent at our server', () => {
  let node: NodeUnderTest
  beforeAll(async () => {
    node = await startNodeUnderTest({ COUNTERSIGN_SPIFFE_PUBLISH_AHEAD: '5s' })
  })
  afterAll(() => node?.close())

  it('rotates SVIDs of five seconds without a moment in which the workload has none', async () => {
    const id = await node.addEntry('/fast', [me], { x509_svid_ttl: 5 })
    const messages = await collect(node.socketPath, 5)
    await node.removeEntry(id)
    for (const [index, { response, at }] of messages.entries()) {
      const certificate = leafOf(response)
      expect(certificate.subjectAltName).toBe(`URI:${idOf('/fast')}`)
      const successor = messages[index + 1]
      if (successor) expect(successor.at).toBeLessThan(certificate.validToDate.getTime())
      expect(certificate.validToDate.getTime()).toBeGreaterThan(at)
    }
    expect(new Set(messages.map(({ response }) => leafOf(response).serialNumber)).size).toBe(5)
  })

  it('ends the identity of a killed workload: its certificates and tokens are revoked by name', async () => {
    const id = await node.addEntry('/mortal', [me])
    const { child, told } = await workload(node.socketPath, 'https://orders.example.com')
    expect(told.ids).toEqual([idOf('/mortal')])
    child.kill('SIGKILL')
    const event = await auditEvent(node, 'svid.revoked', ({ target }) => target === `entry/${id}`)
    expect(event.detail.serial_numbers).toHaveLength(1)
    expect(event.detail.serial_numbers[0]).toMatch(/^[0-9a-f]+$/)
    const claims = JSON.parse(Buffer.from(told.tokens[0].split('.')[1], 'base64url').toString())
    expect(event.detail.jwt_ids).toEqual([claims.jti])
    await node.removeEntry(id)
  })

  it('gives no identity to a binary that is not approved, and the audit trail says so', async () => {
    const id = await node.addEntry('/approved', [me], { policy: { binary_sha256: ['0'.repeat(64)] } })
    const { told } = await workload(node.socketPath)
    expect(told).toEqual({ code: 7 })
    const event = await auditEvent(node, 'svid.refused', ({ target }) => target === `entry/${id}`)
    expect(JSON.stringify(event)).toContain('not among the approved')
    await node.removeEntry(id)
  })

  it('follows a new CA before anything is signed by it', async () => {
    const id = await node.addEntry('/steady', [me], { x509_svid_ttl: 6 })
    const rotating = setTimeout(
      () => void node.server.admin('POST', '/certificate-authorities/rotate', { kind: 'x509', force: false }),
      2_000,
    )
    onTestFinished(() => clearTimeout(rotating))
    const messages = await collect(node.socketPath, 6)
    await node.removeEntry(id)
    for (const { response, at } of messages) {
      const svid = response.svids[0] as X509SVIDResponse['svids'][number]
      const bundle = { trustDomain, x509Authorities: parseCertificates(svid.bundle), jwtAuthorities: new Map() }
      const chain = parseCertificates(svid.x509Svid)
      expect(verifyX509Svid(chain, new Map([[trustDomain, bundle]]), at / 1000).toString()).toBe(idOf('/steady'))
    }
    const [first, last] = [messages[0], messages.at(-1)].map((message) => message?.response.svids[0])
    const issuers = [first, last].map((svid) => parseCertificates(svid?.x509Svid as Buffer)[0]?.authorityKeyId)
    expect(issuers[1]).not.toBe(issuers[0])
  })
})

function leafOf({ svids }: X509SVIDResponse): X509Certificate {
  return new X509Certificate(svids[0]?.x509Svid as Buffer)
}

async function collect(socket: string, count: number): Promise<{ response: X509SVIDResponse; at: number }[]> {
  const client = new SpiffeWorkloadAPIClient(`unix://${socket}`, credentials.createInsecure())
  const header = new Metadata()
  header.set('workload.spiffe.io', 'true')
  const stream = client.fetchX509Svid({}, header)
  const messages: { response: X509SVIDResponse; at: number }[] = []
  try {
    await new Promise<void>((resolve, reject) => {
      stream.on('error', reject)
      stream.on('data', (response: X509SVIDResponse) => {
        messages.push({ response, at: Date.now() })
        if (messages.length === count) resolve()
      })
    })
  } finally {
    stream.cancel()
    client.close()
  }
  return messages
}

// biome-ignore lint/suspicious/noExplicitAny: what the program printed
async function workload(socket: string, audience = ''): Promise<{ child: ChildProcess; told: any }> {
  const flags = ['--conditions=source', '--disable-warning=ExperimentalWarning']
  const child = spawn(process.execPath, [...flags, workloadProgram, socket, audience], {
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  onTestFinished(() => {
    child.kill('SIGKILL')
  })
  const [line] = await once(child.stdout.setEncoding('utf8'), 'data')
  return { child, told: JSON.parse(line) }
}

// biome-ignore lint/suspicious/noExplicitAny: an event as the admin API shows it
async function auditEvent(node: NodeUnderTest, type: string, matches: (event: any) => boolean): Promise<any> {
  let found: unknown
  await until(async () => {
    const { items } = await node.server.admin('GET', `/audit-events?type=${type}`)
    found = items.find(matches)
    return found !== undefined
  })
  return found
}
