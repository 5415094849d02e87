import { formatPemCertificates, parseCertificate, verifyX509Svid } from '@countersign/spiffe'
import { afterEach, expect, it } from 'vitest'
import { activateAuthority } from '../certificate-authorities/activate-authority.ts'
import {
  prepareAuthority,
  revokeAuthority,
  rotateAuthority,
  taintAuthority,
} from '../certificate-authorities/lifecycle.ts'
import {
  agentId,
  ask,
  attestByToken,
  connect,
  newKey,
  startTestNodeServer,
  type TestAgent,
  type TestIdentity,
  type TestNodeServer,
} from './node-api.fixture.ts'

let server: TestNodeServer
afterEach(() => server?.close())

const bundleOf = (client: TestAgent) => ask(client.bundle.getBundle, client.bundle, { outputMask: undefined })
const pemOf = ({ x509Authorities }: { x509Authorities: { asn1: Buffer }[] }) =>
  Buffer.from(formatPemCertificates(x509Authorities.map(({ asn1 }) => asn1)))

it('changes CAs and JWT keys under load without one failed handshake or call', async () => {
  server = await startTestNodeServer()
  const { authorities } = server.server.authority.workloadIdentity!
  let identity: TestIdentity = await attestByToken(server)
  const id = agentId(identity)
  const { id: entryId } = await server.entry({ parentId: id })
  let roots = server.roots()
  let stop = false
  const issuers = new Set<string>()
  const kids = new Set<string>()
  let handshakes = 0
  /** What an agent does, with a new connection each time; whatever fails fails the test. */
  const work = async () => {
    while (!stop) {
      const client = connect(server.address, roots, identity)
      roots = pemOf(await bundleOf(client))
      const { results } = await ask(client.svid.batchNewX509Svid, client.svid, {
        params: [{ entryId, csr: newKey().csr }],
      })
      expect(results[0]?.status?.code).toBe(0)
      const leaf = parseCertificate(results[0]?.svid?.certChain[0] as Buffer)
      issuers.add(leaf.authorityKeyId ?? '')
      const { ca } = server.server.authority.workloadIdentity!
      verifyX509Svid([leaf], new Map([['example.org', ca.bundle()]]), server.server.authority.now())
      const { svid } = await ask(client.svid.newJwtsvid, client.svid, { entryId, audience: ['a'] })
      kids.add(JSON.parse(Buffer.from(svid?.token.split('.')[0] ?? '', 'base64url').toString()).kid)
      const { key, csr } = newKey()
      const renewed = await ask(client.agent.renewAgent, client.agent, { params: { csr } })
      identity = { key, svid: renewed.svid! }
      client.close()
      handshakes += 1
    }
  }
  const working = work().catch((error) => {
    stop = true
    throw error
  })
  for (let turn = 1; turn <= 3; turn += 1) {
    for (const kind of ['x509', 'jwt'] as const) {
      const prepared = await prepareAuthority(kind, authorities)
      const published = handshakes
      // Agents ask for the bundle before they meet what the new CA has signed.
      await expect.poll(() => stop || handshakes > published + 1, { timeout: 10_000 }).toBe(true)
      await activateAuthority(prepared, authorities, { force: true })
      await expect.poll(() => stop || (kind === 'x509' ? issuers : kids).size, { timeout: 10_000 }).toBe(turn + 1)
    }
  }
  stop = true
  await working
  expect(server.errors).toEqual([])
}, 30_000)

it('keeps the sequence number of the bundle while nothing changes, and counts one more when something does', async () => {
  server = await startTestNodeServer()
  const client = server.connect()
  const [one, another] = [await bundleOf(client), await bundleOf(client)]
  expect(one).toEqual(another)
  const { authorities } = server.server.authority.workloadIdentity!
  await prepareAuthority('jwt', authorities)
  const changed = await bundleOf(client)
  expect(changed.sequenceNumber).toBe(one.sequenceNumber + 1)
  expect(changed.jwtAuthorities).toHaveLength(2)
  for (const { keyId, publicKey, expiresAt } of changed.jwtAuthorities) {
    expect(keyId).not.toBe('')
    expect(publicKey.length).toBe(91)
    expect(expiresAt).toBeGreaterThan(server.server.authority.now())
  }
})

it('tells agents what is tainted, and takes down connections whose CA was revoked', async () => {
  server = await startTestNodeServer()
  const { authorities } = server.server.authority.workloadIdentity!
  const identity = await attestByToken(server)
  const client = server.connect(identity)
  const [old] = (await bundleOf(client)).x509Authorities
  await rotateAuthority('x509', authorities, { force: true })
  const rows = await server.server.authority.store.database
    .selectFrom('certificate_authorities')
    .select('id')
    .where('kind', '=', 'x509')
    .where('status', '=', 'retired')
    .execute()
  const { id } = rows[0]!
  await taintAuthority(id, authorities)
  const { x509Authorities } = await bundleOf(client)
  expect(x509Authorities).toHaveLength(2)
  for (const { asn1, tainted } of x509Authorities) expect(tainted).toBe(asn1.equals(old?.asn1 as Buffer))
  // Still good: there is time to renew.
  await ask(client.entry.getAuthorizedEntries, client.entry, { outputMask: undefined })
  await revokeAuthority(id, authorities)
  const again = server.connect(identity)
  await expect(ask(again.entry.getAuthorizedEntries, again.entry, { outputMask: undefined })).rejects.toThrow()
  await expect(ask(client.entry.getAuthorizedEntries, client.entry, { outputMask: undefined })).rejects.toThrow()
})

it('finishes the calls that are under way when it is closed (92)', async () => {
  server = await startTestNodeServer()
  const identity = await attestByToken(server)
  const { id: entryId } = await server.entry({ parentId: agentId(identity) })
  const client = server.connect(identity)
  await bundleOf(client)
  const { csr } = newKey()
  const params = Array.from({ length: 60 }, () => ({ entryId, csr }))
  const calls = Array.from({ length: 3 }, () => ask(client.svid.batchNewX509Svid, client.svid, { params }))
  await new Promise((resolve) => setTimeout(resolve, 100))
  const started = performance.now()
  await server.nodeApi.close()
  expect(performance.now() - started).toBeLessThan(9_000)
  for (const { results } of await Promise.all(calls)) {
    expect(results.filter(({ status }) => status?.code === 0)).toHaveLength(60)
  }
})
