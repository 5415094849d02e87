import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { banNode } from '../nodes/manage-nodes.ts'
import { hasOwnPostgres, type OwnPostgres, ownPostgres } from '../storage/services.fixture.ts'
import { type FreshDatabase, freshPostgresDatabase } from '../storage/stores.fixture.ts'
import {
  agentId,
  ask,
  attestByToken,
  newKey,
  refusal,
  startTestNodeServer,
  type TestAgent,
  type TestIdentity,
  type TestNodeServer,
} from './node-api.fixture.ts'

describe.skipIf(!hasOwnPostgres)('the node API on PostgreSQL', () => {
  let postgres: OwnPostgres
  let fresh: FreshDatabase
  let server: TestNodeServer
  let identity: TestIdentity
  let client: TestAgent

  beforeAll(async () => {
    postgres = await ownPostgres({ durable: true })
  })
  afterAll(() => postgres?.stop())
  beforeEach(async () => {
    fresh = await freshPostgresDatabase(postgres.url)
    server = await startTestNodeServer({ databaseUrl: fresh.url })
    identity = await attestByToken(server)
    client = server.connect(identity)
  })
  afterEach(async () => {
    await server.close()
    await fresh.drop()
  })

  const issue = async (entryId: string, agent = client) => {
    const params = [{ entryId, csr: newKey().csr }]
    return (await ask(agent.svid.batchNewX509Svid, agent.svid, { params })).results[0]?.status?.code
  }

  it('issues nothing while the database is away, spends no token, gives bundles still, and recovers by itself (87)', async () => {
    const { id } = await server.entry({ parentId: agentId(identity) })
    const token = await server.joinToken()
    expect(await issue(id)).toBe(0)
    postgres.crash()
    const unavailable = { code: 'UNAVAILABLE', message: 'not at the moment: try again later' }
    expect(await refusal(issue(id))).toEqual(unavailable)
    expect(await refusal(ask(client.svid.newJwtsvid, client.svid, { entryId: id, audience: ['a'] }))).toEqual(
      unavailable,
    )
    expect(await refusal(ask(client.agent.renewAgent, client.agent, { params: { csr: newKey().csr } }))).toEqual(
      unavailable,
    )
    expect(await refusal(attestByToken(server, token))).toEqual(unavailable)
    expect((await ask(client.bundle.getBundle, client.bundle, { outputMask: undefined })).x509Authorities).toHaveLength(
      1,
    )
    // Long enough for the change feed to notice: then nodes are not known from memory either.
    await new Promise((resolve) => setTimeout(resolve, 1_200))
    expect(await refusal(issue(id))).toEqual(unavailable)
    postgres.start()
    await expect.poll(() => issue(id).catch(() => 'failed'), { timeout: 15_000 }).toBe(0)
    await attestByToken(server, token)
    expect(server.errors.length).toBeGreaterThan(0)
  }, 40_000)

  it('knows on every replica whom another one has banned, at once (93)', async () => {
    const replica = await server.replica()
    const there = replica.connect(identity)
    const { id } = await server.entry({ parentId: agentId(identity) })
    await expect.poll(() => issue(id, there), { timeout: 10_000 }).toBe(0)
    expect((await ask(there.bundle.getBundle, there.bundle, { outputMask: undefined })).sequenceNumber).toBe(
      (await ask(client.bundle.getBundle, client.bundle, { outputMask: undefined })).sequenceNumber,
    )
    await banNode(agentId(identity), server.server.authority, {})
    expect(await refusal(issue(id))).toMatchObject({ reason: 'AGENT_BANNED' })
    await expect
      .poll(async () => (await refusal(issue(id, there).then(() => Promise.reject(new Error())))).reason)
      .toBe('AGENT_BANNED')
    await replica.close()
  })

  it('goes on at one replica with what was renewed at another', async () => {
    const replica = await server.replica()
    const { key, csr } = newKey()
    const { svid } = await ask(client.agent.renewAgent, client.agent, { params: { csr } })
    const renewed = replica.connect({ key, svid: svid! })
    expect((await ask(renewed.entry.getAuthorizedEntries, renewed.entry, { outputMask: undefined })).entries).toEqual(
      [],
    )
    const old = () => ask(client.entry.getAuthorizedEntries, client.entry, { outputMask: undefined })
    await expect
      .poll(async () => (await refusal(old().then(() => Promise.reject(new Error())))).reason)
      .toBe('AGENT_NOT_ACTIVE')
    await replica.close()
  })
})
