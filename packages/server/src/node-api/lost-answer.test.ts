import { parseCertificate } from '@countersign/spiffe'
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest'
import { createJoinToken, deleteJoinToken } from '../nodes/manage-join-tokens.ts'
import { banNode, evictNode } from '../nodes/manage-nodes.ts'
import { describeStores, type FreshDatabase, freshDatabase } from '../storage/stores.fixture.ts'
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

const issuer = 'http://localhost:1/'
const spentToken = {
  code: 'INVALID_ARGUMENT',
  message: 'the join token is unknown, used or expired; make another with: countersign node token create',
}

describeStores('an agent that lost the answer to its join token, with two replicas', (kind) => {
  let database: FreshDatabase
  let here: TestNodeServer
  let there: TestNodeServer
  let clock = 0
  let key: ReturnType<typeof newKey>
  const settings = { nowMilliseconds: () => Date.now() + clock }
  beforeAll(async () => {
    database = await freshDatabase(kind)
    here = await startTestNodeServer({ databaseUrl: database.url, issuer, settings: { ...settings, replica: 'here' } })
    there = await here.replica({ ...settings, replica: 'there' })
  })
  afterAll(async () => {
    await here?.close()
    await there?.close()
    await database?.drop()
  })
  beforeEach(() => {
    clock = 0
    key = newKey()
  })

  const eventsOf = async (identity: TestIdentity) =>
    (await here.events())
      .filter(({ target }) => target === `node/${agentId(identity)}`)
      .map(({ type, method }) => `${type} ${method ?? ''}`.trim())
      .sort()
  const serialOf = ({ svid }: TestIdentity) => parseCertificate(svid.certChain[0] as Buffer).serialNumber

  const useSvid = (identity: TestIdentity, at = here) =>
    at.asAgent(identity, ({ entry }) => ask(entry.getAuthorizedEntries, entry, { outputMask: undefined }))

  it('is answered again by its key, by each of them, as the same node with another SVID', async () => {
    const { authority } = here.server
    const { token } = await createJoinToken({ ttlSeconds: 600, spiffeId: 'spiffe://example.org/rack' }, authority, {})
    const lost = await attestByToken(here, token, key)
    const again = await attestByToken(there, token, key)
    const third = await attestByToken(here, token, key)
    expect(new Set([lost, again, third].map(agentId)).size).toBe(1)
    expect(new Set([lost, again, third].map(serialOf)).size).toBe(3)
    expect((await useSvid(third)).entries).toHaveLength(1)
    expect(await eventsOf(lost)).toEqual(['node.attested join_token', ...Array(2).fill('node.renewed join_token')])
  })

  it('keeps an answer that was not lost after all, until it uses the other one', async () => {
    const token = await here.joinToken()
    const first = await attestByToken(here, token, key)
    const second = await attestByToken(here, token, key)
    await useSvid(first)
    await useSvid(second)
    expect(await refusal(useSvid(first))).toMatchObject({ reason: 'AGENT_NOT_ACTIVE' })
  })

  it('is told apart from whoever else has the token, who is told what any spent token is told', async () => {
    const token = await here.joinToken()
    const identity = await attestByToken(here, token, key)
    for (const server of [here, there]) expect(await refusal(attestByToken(server, token))).toEqual(spentToken)
    await banNode(agentId(identity), here.server.authority, {})
    expect(await refusal(attestByToken(there, token))).toEqual(spentToken)
  })

  it('is one of two that come at once, each to its own replica, with keys of their own', async () => {
    for (let round = 0; round < 5; round += 1) {
      const token = await here.joinToken()
      const keys = [newKey(), newKey()]
      const join = (index: number) => attestByToken(index === 0 ? here : there, token, keys[index])
      const tried = await Promise.allSettled([join(0), join(1)])
      const winner = tried.findIndex(({ status }) => status === 'fulfilled')
      expect(tried.filter(({ status }) => status === 'fulfilled')).toHaveLength(1)
      expect(await refusal(join(1 - winner))).toEqual(spentToken)
      await join(winner)
    }
  })

  it('joins once, however many of its tries are under way at once', async () => {
    const token = await here.joinToken()
    const tried = await Promise.allSettled(
      Array.from({ length: 10 }, (_, index) => attestByToken(index % 2 ? here : there, token, key)),
    )
    // Those that it is to repeat, as it does by itself; none that would have it give up.
    for (const each of tried) if (each.status === 'rejected') expect(each.reason).toMatchObject({ code: 14 })
    const identity = await attestByToken(here, token, key)
    await useSvid(identity)
    const attested = (await eventsOf(identity)).filter((event) => event.startsWith('node.attested'))
    expect(attested).toHaveLength(1)
  })

  it.each<[string, object, (identity: TestIdentity) => Promise<unknown>]>([
    ['the node was banned', { reason: 'AGENT_BANNED' }, (id) => banNode(agentId(id), there.server.authority, {})],
    [
      'the node was evicted',
      { reason: 'AGENT_NOT_ATTESTED' },
      (id) => evictNode(agentId(id), there.server.authority, {}),
    ],
    [
      'it has renewed what it got, and used that',
      { reason: 'AGENT_NOT_ACTIVE' },
      async (identity) => {
        const renewed = newKey()
        const params = { csr: renewed.csr }
        const { svid } = await here.asAgent(identity, ({ agent }) => ask(agent.renewAgent, agent, { params }))
        await useSvid({ key: renewed.key, svid: svid! })
      },
    ],
    [
      'the token would have expired',
      spentToken,
      async () => {
        clock = 601_000
      },
    ],
  ])('is refused when %s', async (_what, expected, happens) => {
    const token = await here.joinToken(600)
    await happens(await attestByToken(here, token, key))
    expect(await refusal(attestByToken(here, token, key))).toMatchObject(expected)
  })

  it('leaves nothing of its token to be shown, deleted or kept for ever', async () => {
    const { authority } = here.server
    const { database } = authority.store
    const { row, token } = await createJoinToken({ ttlSeconds: 5 }, authority, {})
    await attestByToken(here, token, key)
    expect(await database.selectFrom('join_tokens').selectAll().where('id', '=', row.id).execute()).toEqual([])
    await expect(deleteJoinToken(row.id, authority, {})).rejects.toMatchObject({ code: 'not_found' })
    const spent = () => database.selectFrom('spent_join_tokens').selectAll().where('hash', '=', row.hash).execute()
    expect(await spent()).toHaveLength(1)
    expect(JSON.stringify(await spent())).not.toContain(token)
    clock = 6_000
    await here.joinToken()
    expect(await spent()).toEqual([])
  })

  // The last one, as from here on the server's own SVID is one of this later time.
  it('is refused when the SVID that it lost has expired, though the token has not', async () => {
    const token = await here.joinToken(7200)
    await attestByToken(here, token, key)
    clock = 3_601_000
    expect(await refusal(attestByToken(here, token, key))).toMatchObject({ reason: 'AGENT_EXPIRED' })
  })
})
