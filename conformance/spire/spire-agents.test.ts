import { X509Certificate } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createBundle, parseCertificates, parseX509Svid, toPem, verifyX509Svid } from '@countersign/spiffe'
import { createTestAuthority } from '@countersign/spiffe/testing'
import { afterAll, beforeAll, expect, it, onTestFinished } from 'vitest'
import { describeWith } from '../describe-with.ts'
import { until } from '../until.ts'
import { type OurServer, startOurServer } from './our-server.ts'
import {
  type FetchedSvid,
  findSpireAgent,
  type SpireAgent,
  type SpireAgentOptions,
  startSpireAgent,
} from './spire-agent.ts'

const me = `unix:uid:${process.getuid?.()}`
const nodes = createTestAuthority('nodes.test')

await describeWith(findSpireAgent, "SPIRE's agents at our server", (program) => {
  let server: OurServer
  beforeAll(async () => {
    server = await startOurServer(toPem(nodes.issuer.certificate.der))
  })
  afterAll(async () => {
    await server?.stop()
    server?.remove()
  })

  async function started(options: Omit<SpireAgentOptions, 'server'>): Promise<SpireAgent> {
    const agent = await startSpireAgent(program, { server: server.node, ...options })
    onTestFinished(async () => {
      await agent.stop()
      agent.remove()
    })
    return agent
  }

  /** One that joins by a token, with an entry for this user. */
  async function joined(path: string): Promise<{ agent: SpireAgent; agentId: string; entryId: string }> {
    const { token, agentId } = await server.joinToken()
    const agent = await started({ node: { joinToken: token }, bundleFile: await server.bundleFile() })
    const entryId = await addEntry(agentId, path)
    await served(agent, path)
    return { agent, agentId, entryId }
  }

  async function addEntry(parent_id: string, path: string, more: object = {}): Promise<string> {
    const entry = { parent_id, spiffe_id: `spiffe://example.org${path}`, selectors: [me], ...more }
    return (await server.admin('POST', '/entries', entry)).id
  }

  it('join by a token, serve workloads, and renew their own SVID and those of workloads in time', async () => {
    const { agent, agentId } = await joined('/renewed')
    const serials = new Set<string>()
    const own = new Set<string>()
    await during(30_000, async () => {
      const [svid] = await agent.fetch()
      serials.add(good(svid).serialNumber)
      own.add((await server.admin('GET', `/nodes/${encodeURIComponent(agentId)}`)).serial_number)
    })
    // Every 5 s and every 10 s, as the notBefore that lies 10 s back has them count.
    expect(serials.size).toBeGreaterThanOrEqual(3)
    expect(own.size).toBeGreaterThanOrEqual(2)
  }, 90_000)

  it('join by a certificate, attest again before they end, and again after they were evicted', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'pop-'))
    onTestFinished(() => rmSync(folder, { recursive: true }))
    const node = nodes.certificate({ commonName: 'node-1' })
    const files = { certificateFile: join(folder, 'node.pem'), keyFile: join(folder, 'node.key') }
    writeFileSync(files.certificateFile, node.certificatePem)
    writeFileSync(files.keyFile, node.keyPem)
    const agent = await started({ node: files })
    const { items } = await server.admin('GET', '/nodes')
    const { spiffe_id: agentId, selectors } = items.find(
      ({ attestation_type }: { attestation_type: string }) => attestation_type === 'x509pop',
    )
    expect(selectors).toContain('x509pop:subject:cn:node-1')
    await addEntry(agentId, '/by-certificate')
    await served(agent, '/by-certificate')
    const attestedAt = async () => (await server.admin('GET', `/nodes/${encodeURIComponent(agentId)}`)).attested_at
    const first = await attestedAt()
    await until(async () => (await attestedAt()) !== first)
    await server.admin('POST', '/nodes/evict', { spiffe_id: agentId })
    await until(async () => (await attestedAt().catch(() => first)) !== first)
    await during(5_000, async () => void good((await agent.fetch())[0]))
  }, 90_000)

  it('end when they are banned', async () => {
    const { agent, agentId } = await joined('/banned')
    await server.admin('POST', '/nodes/ban', { spiffe_id: agentId })
    expect(await withTimeout(agent.ended)).toMatch(/banned/i)
  }, 60_000)

  it('end when they joined by a token and are evicted', async () => {
    const { agent, agentId } = await joined('/evicted')
    await server.admin('POST', '/nodes/evict', { spiffe_id: agentId })
    expect(await withTimeout(agent.ended)).toMatch(/AGENT_NOT_ATTESTED|not attested|needs to attest/i)
  }, 60_000)

  it('get JWT-SVIDs that our bundle verifies, with the keys that they are told of', async () => {
    const { agent } = await joined('/jwt')
    const [{ svid, spiffe_id }] = (await agent.fetchJwt('billing')) as [{ svid: string; spiffe_id: string }]
    expect(spiffe_id).toBe('spiffe://example.org/jwt')
    expect(await agent.validateJwt('billing', svid)).toContain('spiffe://example.org/jwt')
    await expect(agent.validateJwt('other', svid)).rejects.toThrow(/audience/)
  }, 60_000)

  it('notice no change of CAs and JWT keys', async () => {
    const { agent } = await joined('/rotating')
    const issuers = new Set<string>()
    const kids = new Set<string>()
    let turns = 0
    await during(45_000, async () => {
      const [svid] = await agent.fetch()
      issuers.add(good(svid).issuerKey)
      const [jwt] = await agent.fetchJwt(`audience-${turns}`)
      kids.add(JSON.parse(Buffer.from(jwt?.svid.split('.')[0] ?? '', 'base64url').toString()).kid)
      turns += 1
      if (turns % 10 === 1 && turns < 30) {
        for (const kind of ['x509', 'jwt']) await server.admin('POST', '/certificate-authorities/rotate', { kind })
      }
    })
    expect(issuers.size).toBeGreaterThanOrEqual(3)
    expect(kids.size).toBeGreaterThanOrEqual(3)
  }, 120_000)

  it('serve on while the server is away, and go on when it is back, also when they were started anew', async () => {
    const { agent } = await joined('/outage')
    await server.stop()
    await during(3_000, async () => void good((await agent.fetch())[0]))
    await server.start()
    await during(12_000, async () => void good((await agent.fetch())[0]))
    await agent.restart()
    await served(agent, '/outage')
  }, 90_000)

  it('hear of entries that come, change and go', async () => {
    const { agent, agentId, entryId } = await joined('/first')
    const second = await addEntry(agentId, '/second', { dns_names: ['second.example'] })
    await until(async () => (await agent.fetch()).length === 2)
    await server.admin('PATCH', `/entries/${second}`, { dns_names: ['other.example'] })
    await until(async () =>
      (await agent.fetch()).some(({ x509_svid }) =>
        new X509Certificate(Buffer.from(x509_svid, 'base64')).subjectAltName?.includes('DNS:other.example'),
      ),
    )
    await server.admin('DELETE', `/entries/${entryId}`)
    await until(async () => (await agent.fetch()).length === 1)
  }, 60_000)

  it('get more entries than fit in one page', async () => {
    const { agent, agentId } = await joined('/many')
    for (let index = 0; index < 520; index += 1) {
      await addEntry(agentId, `/many/${index}`, { selectors: ['unix:uid:4294967294', `unix:gid:${index}`] })
    }
    await addEntry(agentId, '/last')
    await until(async () => (await agent.fetch()).length === 2)
  }, 120_000)

  async function served(agent: SpireAgent, path: string): Promise<void> {
    await until(async () => (await agent.fetch()).some(({ spiffe_id }) => spiffe_id === `spiffe://example.org${path}`))
  }
})

/** What SPIRE's agent gave, as our own library judges it: whole, and valid now. */
function good(svid: FetchedSvid | undefined): { serialNumber: string; issuerKey: string } {
  if (!svid) throw new Error('no SVID')
  const parsed = parseX509Svid(Buffer.from(svid.x509_svid, 'base64'), Buffer.from(svid.x509_svid_key, 'base64'))
  const x509Authorities = parseCertificates(Buffer.from(svid.bundle, 'base64'))
  const bundles = new Map([['example.org', createBundle({ trustDomain: 'example.org', x509Authorities })]])
  verifyX509Svid(parsed.certificates, bundles, Date.now() / 1000)
  const [leaf] = parsed.certificates
  return { serialNumber: leaf?.serialNumber ?? '', issuerKey: leaf?.authorityKeyId ?? '' }
}

/** Again and again; what fails once fails the test. */
async function during(milliseconds: number, act: () => Promise<void>): Promise<void> {
  for (const end = Date.now() + milliseconds; Date.now() < end; ) {
    await act()
    await new Promise((resolve) => setTimeout(resolve, 300))
  }
}

function withTimeout(ended: Promise<string>): Promise<string> {
  return Promise.race([
    ended,
    new Promise<string>((_resolve, reject) => setTimeout(() => reject(new Error('it runs on')), 30_000)),
  ])
}
