import { afterAll, beforeAll, expect, it } from 'vitest'
import { banNode, evictNode } from '../nodes/manage-nodes.ts'
import { describeStores, type FreshDatabase, freshDatabase } from '../storage/stores.fixture.ts'
import {
  agentId,
  ask,
  attestByToken,
  newKey,
  nextMessage,
  refusal,
  startTestNodeServer,
  type TestIdentity,
  type TestNodeServer,
} from './node-api.fixture.ts'

const issuer = 'http://localhost:1/'

describeStores('an open stream of entries, at one of two replicas', (kind) => {
  let database: FreshDatabase
  let here: TestNodeServer
  let there: TestNodeServer
  let clock = 0
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

  /** A stream that has begun, and how it goes on: with its first message, or with the next one. */
  async function openStream(identity: TestIdentity, at: 'first' | 'next') {
    const { id } = await here.entry({ parentId: agentId(identity) })
    const { entry } = here.connect(identity)
    const call = entry.syncAuthorizedEntries()
    const send = (ids: string[]) => {
      const answer = nextMessage(call)
      call.write({ outputMask: undefined, ids })
      return answer
    }
    if (at === 'first') {
      // When this one is answered, the server has begun with the stream that came before it.
      await ask(entry.getAuthorizedEntries, entry, { outputMask: undefined })
      return () => send([])
    }
    // More than come whole, so that the stream goes on.
    const { index } = here.server.authority.workloadIdentity!.entries
    const one = index.get(id)!
    const { authorizedEntries } = index
    index.authorizedEntries = () =>
      Array.from({ length: 501 }, (_, number) => ({ ...one, id: number === 0 ? id : `entry-${number}` }))
    expect(await send([])).toMatchObject({ more: true })
    expect(await nextMessage(call)).toMatchObject({ more: false })
    index.authorizedEntries = authorizedEntries
    return () => send([id])
  }

  it.each(['first', 'next'] as const)('goes on while the agent is good, with its %s message', async (at) => {
    const goOn = await openStream(await attestByToken(here), at)
    expect((await goOn())?.entries).toHaveLength(1)
  })

  const endings: [string, string, (identity: TestIdentity) => Promise<unknown>][] = [
    ['banned there', 'AGENT_BANNED', (identity) => banNode(agentId(identity), there.server.authority, {})],
    ['evicted there', 'AGENT_NOT_ATTESTED', (identity) => evictNode(agentId(identity), there.server.authority, {})],
    [
      'coming with a newer SVID',
      'AGENT_NOT_ACTIVE',
      async (identity) => {
        const { agent } = here.connect(identity)
        const { key, csr } = newKey()
        const { svid } = await ask(agent.renewAgent, agent, { params: { csr } })
        const { entry } = here.connect({ key, svid: svid! })
        await ask(entry.getAuthorizedEntries, entry, { outputMask: undefined })
      },
    ],
    [
      'past the end of its SVID',
      'AGENT_EXPIRED',
      async () => {
        clock = 3_601_000
      },
    ],
  ]
  for (const at of ['first', 'next'] as const) {
    it.each(endings)(`gives nothing for its ${at} message to an agent that is %s`, async (_what, reason, end) => {
      const identity = await attestByToken(here)
      const goOn = await openStream(identity, at)
      await end(identity)
      // What another replica did is known here a moment later.
      await here.server.authority.feed.catchUp()
      expect(await refusal(goOn())).toMatchObject({ code: 'PERMISSION_DENIED', reason })
      clock = 0
    })
  }
})
