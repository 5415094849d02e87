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
import { defaultNodeLimits } from './node-limits.ts'

let server: TestNodeServer
beforeAll(async () => {
  server = await startTestNodeServer({ nodeApi: { limits: defaultNodeLimits } })
})
afterAll(() => server?.close())

const agents = 40

it('serves all agents that come back at once: none is refused, each is renewed and gets its SVIDs (91)', async () => {
  const identities = await Promise.all(Array.from({ length: agents }, () => attestByToken(server)))
  const entries = await Promise.all(
    identities.map((identity, index) =>
      server.entry({ parentId: agentId(identity), spiffeId: `spiffe://example.org/w/${index}` }),
    ),
  )
  const back = identities.map(async (identity, index) => {
    const client = server.connect(identity)
    const { key, csr } = newKey()
    const { svid } = await ask(client.agent.renewAgent, client.agent, { params: { csr } })
    client.close()
    const renewed = server.connect({ key, svid: svid! })
    const sync = renewed.entry.syncAuthorizedEntries()
    const first = nextMessage(sync)
    sync.write({ ids: [], outputMask: undefined })
    const known = (await first)?.entries.map(({ id }) => id)
    sync.cancel()
    const params = Array.from({ length: 5 }, () => ({ entryId: entries[index]?.id ?? '', csr: newKey().csr }))
    const { results } = await ask(renewed.svid.batchNewX509Svid, renewed.svid, { params })
    renewed.close()
    return [known, results.map(({ status }) => status?.code)]
  })
  expect(await Promise.all(back)).toEqual(entries.map(({ id }) => [[id], [0, 0, 0, 0, 0]]))
  expect(server.errors).toEqual([])
}, 180_000)
