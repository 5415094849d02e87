import { generateKeyPairSync } from 'node:crypto'
import { createCaCertificate, createCertificateIssuer, parseCertificate } from '@countersign/spiffe'
import { createTestAuthority } from '@countersign/spiffe/testing'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { openAuthorityKey } from '../certificate-authorities/open-authority-key.ts'
import { banNode, evictNode } from '../nodes/manage-nodes.ts'
import {
  agentId,
  ask,
  attestByToken,
  forgedIdentity,
  identityOf,
  newKey,
  refusal,
  startTestNodeServer,
  type TestAgent,
  type TestIdentity,
  type TestNodeServer,
} from './node-api.fixture.ts'

let server: TestNodeServer
beforeAll(async () => {
  server = await startTestNodeServer()
})
afterAll(() => server?.close())

/** What becomes of a call that anybody may make, when it is made with this certificate. */
async function getBundle(identity?: TestIdentity): Promise<string> {
  const get = ({ bundle }: TestAgent) => ask(bundle.getBundle, bundle, { outputMask: undefined })
  return server.asAgent(identity, get).then(
    ({ trustDomain }) => trustDomain,
    ({ details }) => details,
  )
}

function fetchSvid(identity: TestIdentity | undefined, entryId: string) {
  const params = [{ entryId, csr: newKey().csr }]
  return server.asAgent(identity, ({ svid }) => ask(svid.batchNewX509Svid, svid, { params }))
}

describe('a connection to the node API', () => {
  it('may be anonymous, or of anybody with an SVID of the trust domain', async () => {
    expect(await getBundle()).toBe('example.org')
    expect(await getBundle(forgedIdentity(server, { uris: ['spiffe://example.org/billing'] }))).toBe('example.org')
  })

  const impostor = createTestAuthority('example.org')
  const stranger = createTestAuthority('other.example')
  const withoutRoom = /UNAVAILABLE|closed|reset|No connection|hang up|ECONN|dropped|protocol/i

  it.each<[string, () => TestIdentity]>([
    [
      'a certificate that another CA has signed for an agent of ours (48)',
      () => {
        const { certificates, privateKey } = impostor.x509Svid('/spire/agent/join_token/1')
        return identityOf(
          privateKey,
          certificates.map(({ der }) => der),
        )
      },
    ],
    [
      'an SVID of another trust domain (55)',
      () => {
        const { certificates, privateKey } = stranger.x509Svid('/spire/agent/join_token/1')
        return identityOf(
          privateKey,
          certificates.map(({ der }) => der),
        )
      },
    ],
    [
      'an ID of another trust domain under our own CA (55)',
      () => forgedIdentity(server, { uris: ['spiffe://other.example/a'] }),
    ],
    ['no SPIFFE ID (52)', () => forgedIdentity(server, { uris: [], dnsNames: ['agent.example.org'] })],
    [
      'two SPIFFE IDs (52)',
      () => forgedIdentity(server, { uris: ['spiffe://example.org/a', 'spiffe://example.org/spire/agent/b'] }),
    ],
    [
      'an expired SVID (53)',
      () => forgedIdentity(server, { notBefore: 1, notAfter: server.server.authority.now() - 1 }),
    ],
    ['an SVID of tomorrow (53)', () => forgedIdentity(server, { notBefore: server.server.authority.now() + 300 })],
  ])('ends before a byte of it is read when it shows %s', async (_what, identity) => {
    expect(await getBundle(identity())).toMatch(withoutRoom)
  })

  it('ends when it shows a certificate of a CA, or one that no CA has signed (51)', async () => {
    const { authority } = server.server
    const row = await authority.store.database
      .selectFrom('certificate_authorities')
      .selectAll()
      .where('kind', '=', 'x509')
      .executeTakeFirstOrThrow()
    const caKey = openAuthorityKey(row, authority.masterKey)
    const ca = Buffer.from(row.certificate as string, 'base64')
    expect(await getBundle(identityOf(caKey, [ca]))).toMatch(withoutRoom)

    const agent = forgedIdentity(server, {})
    const [leaf] = agent.svid.certChain as [Buffer]
    const { privateKey: key } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
    const now = authority.now()
    // A CA certificate that the leaf has signed, as if it were a CA: first by itself, then with a leaf below it.
    const below = createCaCertificate({
      key,
      issuer: { key: agent.key, certificate: { ...parseCertificate(leaf), isCa: true } as never },
      subject: { commonName: 'below' },
      trustDomain: 'example.org',
      serialNumber: Buffer.from([0x41, 1, 2, 3]),
      notBefore: now - 10,
      notAfter: now + 100,
    } as never)
    const issuer = createCertificateIssuer({ key, certificate: parseCertificate(below) })
    const { key: lowest } = newKey()
    const issued = issuer.issue({
      publicKeyDer: parseCertificate(leaf).publicKeyDer,
      serialNumber: Buffer.from([0x42, 1]),
      notBefore: now - 10,
      notAfter: now + 50,
      uris: ['spiffe://example.org/spire/agent/join_token/2'],
    })
    expect(lowest).toBeDefined()
    expect(await getBundle(identityOf(agent.key, [issued, below, leaf]))).toMatch(withoutRoom)
  })
})

describe('calls of agents', () => {
  it('are refused to strangers', async () => {
    expect(await refusal(fetchSvid(undefined, 'x'))).toMatchObject({ code: 'UNAUTHENTICATED' })
  })

  it('are refused to workloads, whatever their SVID, and to the server itself (50)', async () => {
    for (const uris of [
      ['spiffe://example.org/billing'],
      ['spiffe://example.org/spire/server'],
      ['spiffe://example.org/spire/agentx/a'],
    ]) {
      const refused = await refusal(fetchSvid(forgedIdentity(server, { uris }), 'x'))
      expect(refused).toEqual({ code: 'PERMISSION_DENIED', message: 'only agents may call this' })
    }
  })

  it('are refused to an agent that never attested itself, with the reason that has it do so', async () => {
    expect(await refusal(fetchSvid(forgedIdentity(server, {}), 'x'))).toMatchObject({
      code: 'PERMISSION_DENIED',
      reason: 'AGENT_NOT_ATTESTED',
    })
  })

  it('are refused to a certificate of the same ID that is not the one the agent got (50)', async () => {
    const agent = await attestByToken(server)
    const another = forgedIdentity(server, { uris: [agentId(agent)] })
    expect(await refusal(fetchSvid(another, 'x'))).toMatchObject({
      code: 'PERMISSION_DENIED',
      reason: 'AGENT_NOT_ACTIVE',
    })
  })

  it("give an agent what its own entries allow, and nothing of another's (56)", async () => {
    const [one, other] = [await attestByToken(server), await attestByToken(server)]
    const mine = await server.entry({ parentId: agentId(one), spiffeId: 'spiffe://example.org/one' })
    const theirs = await server.entry({ parentId: agentId(other), spiffeId: 'spiffe://example.org/other' })
    const client = server.connect(one)
    const ids = [mine.id, theirs.id, 'no-such-entry', '', mine.id]
    const params = ids.map((entryId) => ({ entryId, csr: newKey().csr }))
    const { results } = await ask(client.svid.batchNewX509Svid, client.svid, { params })
    const NOT_FOUND = 5
    expect(results.map(({ status }) => status?.code)).toEqual([0, NOT_FOUND, NOT_FOUND, NOT_FOUND, 0])
    expect(results[1]?.svid).toBeUndefined()
    const jwt = ask(client.svid.newJwtsvid, client.svid, { entryId: theirs.id, audience: ['a'] })
    expect(await refusal(jwt)).toEqual({ code: 'NOT_FOUND', message: 'entry not found or not authorized' })
    const entries = await ask(client.entry.getAuthorizedEntries, client.entry, { outputMask: undefined })
    expect(entries.entries.map(({ id }) => id)).toEqual([mine.id])
    client.close()
    const refused = await server.events('svid.refused')
    expect(refused).toMatchObject([
      { outcome: 'failure', count: 3, detail: { agent_id: agentId(one), entries: [theirs.id, 'no-such-entry', ''] } },
      { outcome: 'failure', detail: { entries: [theirs.id] } },
    ])
  })

  it('take the ID from the entry, whatever the request for the certificate names (56)', async () => {
    const agent = await attestByToken(server)
    const entry = await server.entry({ parentId: agentId(agent), spiffeId: 'spiffe://example.org/modest' })
    const { csr } = newKey({ uris: ['spiffe://example.org/spire/server'], dnsNames: ['bank.example'] })
    const client = server.connect(agent)
    const { results } = await ask(client.svid.batchNewX509Svid, client.svid, { params: [{ entryId: entry.id, csr }] })
    const leaf = parseCertificate(results[0]?.svid?.certChain[0] as Buffer)
    expect(leaf).toMatchObject({ uris: ['spiffe://example.org/modest'], dnsNames: [] })
  })

  it('end with the SVID, also on a connection that was made before (53)', async () => {
    let clock = 0
    // Its own, as its own certificate follows the clock too.
    const timed = await startTestNodeServer({ settings: { nowMilliseconds: () => Date.now() + clock } })
    const client = timed.connect(await attestByToken(timed))
    const entries = () => ask(client.entry.getAuthorizedEntries, client.entry, { outputMask: undefined })
    expect((await entries()).entries).toEqual([])
    clock = 3_601_000
    expect(await refusal(entries())).toMatchObject({ code: 'PERMISSION_DENIED', reason: 'AGENT_EXPIRED' })
    await timed.close()
  })

  it('end at once when the node is banned or evicted, also on a connection that was made before', async () => {
    const agent = await attestByToken(server)
    const client = server.connect(agent)
    const entries = () => ask(client.entry.getAuthorizedEntries, client.entry, { outputMask: undefined })
    await entries()
    await banNode(agentId(agent), server.server.authority, {})
    expect(await refusal(entries())).toMatchObject({ code: 'PERMISSION_DENIED', reason: 'AGENT_BANNED' })
    const evicted = await attestByToken(server)
    const another = server.connect(evicted)
    await ask(another.entry.getAuthorizedEntries, another.entry, { outputMask: undefined })
    await evictNode(agentId(evicted), server.server.authority, {})
    const afterwards = ask(another.entry.getAuthorizedEntries, another.entry, { outputMask: undefined })
    expect(await refusal(afterwards)).toMatchObject({ reason: 'AGENT_NOT_ATTESTED' })
  })
})
