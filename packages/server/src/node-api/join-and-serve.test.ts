import { parseCertificate, parseX509Svid, verifyJwtSvid, verifyX509Svid } from '@countersign/spiffe'
import { afterAll, beforeAll, expect, it } from 'vitest'
import {
  agentId,
  ask,
  attestByToken,
  newKey,
  nextMessage,
  startTestNodeServer,
  type TestNodeServer,
} from './node-api.fixture.ts'

let server: TestNodeServer
beforeAll(async () => {
  server = await startTestNodeServer()
})
afterAll(() => server?.close())

it('lets an agent join by a token, and serves its workloads from then on', async () => {
  const identity = await attestByToken(server)
  const id = agentId(identity)
  expect(id).toMatch(/^spiffe:\/\/example\.org\/spire\/agent\/join_token\/[0-9a-f]{48}$/)
  const { ca } = server.server.authority.workloadIdentity!
  const bundles = new Map([['example.org', ca.bundle()]])
  const now = server.server.authority.now()
  expect(
    verifyX509Svid(
      identity.svid.certChain.map((der) => parseCertificate(der)),
      bundles,
      now,
    ).toString(),
  ).toBe(id)

  const entry = await server.entry({ parentId: id, spiffeId: 'spiffe://example.org/billing', dnsNames: ['billing'] })
  const client = server.connect(identity)
  const sync = client.entry.syncAuthorizedEntries()
  const synced = nextMessage(sync)
  sync.write({ outputMask: undefined, ids: [] })
  expect(await synced).toMatchObject({
    more: false,
    entryRevisions: [],
    entries: [{ id: entry.id, spiffeId: { trustDomain: 'example.org', path: '/billing' }, revisionNumber: 0 }],
  })
  sync.cancel()

  const { key, csr } = newKey()
  const { results } = await ask(client.svid.batchNewX509Svid, client.svid, { params: [{ entryId: entry.id, csr }] })
  expect(results[0]?.status).toEqual({ code: 0, message: '' })
  const svid = parseX509Svid(Buffer.concat(results[0]!.svid!.certChain), key.export({ type: 'pkcs8', format: 'der' }))
  expect(svid.id.toString()).toBe('spiffe://example.org/billing')
  expect(svid.expiresAt).toBe(results[0]?.svid?.expiresAt)
  expect(svid.certificates[0]?.dnsNames).toEqual(['billing'])
  expect(verifyX509Svid(svid.certificates, bundles, now).toString()).toBe('spiffe://example.org/billing')

  const jwt = await ask(client.svid.newJwtsvid, client.svid, { entryId: entry.id, audience: ['orders', ''] })
  const verified = verifyJwtSvid(jwt.svid!.token, { audience: 'orders', bundles, now })
  expect(verified.id.toString()).toBe('spiffe://example.org/billing')
  expect(jwt.svid).toMatchObject({ issuedAt: expect.any(Number), expiresAt: verified.expiresAt })

  const bundle = await ask(client.bundle.getBundle, client.bundle, { outputMask: undefined })
  expect(bundle).toMatchObject({ trustDomain: 'example.org', refreshHint: 0 })
  expect(bundle.x509Authorities).toHaveLength(1)
  expect(bundle.jwtAuthorities).toHaveLength(1)
  client.close()

  expect(await server.events('node.attested')).toHaveLength(1)
  const [own, ...issued] = await server.events('svid.issued')
  expect(own).toMatchObject({ target: 'server', detail: { spiffe_id: 'spiffe://example.org/spire/server' } })
  expect(issued).toMatchObject([
    {
      outcome: 'success',
      target: `entry/${entry.id}`,
      detail: {
        spiffe_id: 'spiffe://example.org/billing',
        agent_id: id,
        kind: 'x509',
        serial_number: expect.any(String),
      },
    },
    { jti: expect.any(String), detail: { kind: 'jwt', audience: ['orders'] } },
  ])
  expect(server.errors).toEqual([])
})
