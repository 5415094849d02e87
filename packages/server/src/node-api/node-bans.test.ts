import { parseCertificate, parseJwtSvidUnverified } from '@countersign/spiffe'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { banNode, findNode } from '../nodes/manage-nodes.ts'
import { describeStores, type FreshDatabase, freshDatabase } from '../storage/stores.fixture.ts'
import { agentId, ask, attestByToken, newKey, startTestNodeServer, type TestNodeServer } from './node-api.fixture.ts'

describeStores('a ban of a node', (kind) => {
  let fresh: FreshDatabase
  let server: TestNodeServer
  beforeAll(async () => {
    fresh = await freshDatabase(kind)
    server = await startTestNodeServer({ databaseUrl: fresh.url })
  })
  afterAll(async () => {
    await server?.close()
    await fresh?.drop()
  })

  async function joinedNode() {
    const identity = await attestByToken(server)
    const client = server.connect(identity)
    const entry = await server.entry({ parentId: agentId(identity) })
    return {
      id: agentId(identity),
      async x509(count = 1): Promise<string[]> {
        const params = Array.from({ length: count }, () => ({ entryId: entry.id, csr: newKey().csr }))
        const { results } = await ask(client.svid.batchNewX509Svid, client.svid, { params })
        return results.map(({ svid }) => parseCertificate(svid?.certChain[0] as Buffer).serialNumber)
      },
      async jwt(): Promise<string> {
        const { svid } = await ask(client.svid.newJwtsvid, client.svid, { entryId: entry.id, audience: ['a'] })
        return parseJwtSvidUnverified(svid?.token as string).claims.jti as string
      },
    }
  }

  const isRevoked = (serial: string) => server.server.authority.revocations.isRevokedSerial(serial)

  it('revokes the SVID of its agent and those that it got for workloads, and nobody else’s', async () => {
    const { authority } = server.server
    const [banned, other] = [await joinedNode(), await joinedNode()]
    const serials = await banned.x509(3)
    const jti = await banned.jwt()
    const [others] = await other.x509()
    const own = (await findNode(authority.store.database, banned.id)).serial_number
    await banNode(banned.id, authority, {})
    expect([own, ...serials].map(isRevoked)).toEqual([true, true, true, true])
    expect(authority.revocations.isRevokedJwtSvid({ jti })).toBe(true)
    expect(isRevoked(others as string)).toBe(false)
    const events = await server.events('svid.revoked')
    expect(events).toMatchObject([{ target: `node/${banned.id}`, reason: 'the node was banned' }])
    expect(events[0]?.detail).toMatchObject({ serial_numbers: expect.arrayContaining(serials), jwt_ids: [jti] })
    // Once more finds nothing left to do.
    await banNode(banned.id, authority, {})
    expect(await server.events('svid.revoked')).toHaveLength(1)
  })

  it.each(['x509', 'jwt'] as const)('gives no %s-SVID away that is recorded only after the ban', async (form) => {
    const { audit } = server.server.authority
    const node = await joinedNode()
    const record = audit.record.bind(audit)
    // As on a busy replica: the agent was let in, and meanwhile another replica bans it.
    audit.record = async (fact) => {
      audit.record = record
      await banNode(node.id, server.server.authority, {})
      await record(fact)
    }
    await expect(node[form]()).rejects.toThrow('this agent is banned')
    expect((await server.events('svid.issued')).at(-1)).toMatchObject({ detail: { agent_id: node.id, kind: form } })
  })
})
