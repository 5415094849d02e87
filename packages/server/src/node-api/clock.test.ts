import { afterEach, beforeEach, expect, it } from 'vitest'
import {
  agentId,
  ask,
  attestByToken,
  newKey,
  startTestNodeServer,
  type TestIdentity,
  type TestNodeServer,
} from './node-api.fixture.ts'

const hour = 3600

let server: TestNodeServer
let ahead: number
let identity: TestIdentity
beforeEach(async () => {
  ahead = 0
  server = await startTestNodeServer({ settings: { nowMilliseconds: () => Date.now() + ahead * 1000 } })
  identity = await attestByToken(server)
})
afterEach(() => server.close())

/** Over a new connection, judged by this machine's clock, which is right. */
async function issue(entryId: string): Promise<number | undefined> {
  const params = [{ entryId, csr: newKey().csr }]
  const { results } = await server.asAgent(identity, ({ svid }) => ask(svid.batchNewX509Svid, svid, { params }))
  return results[0]?.status?.code
}

it("serves agents again at once when the server's clock, which was hours ahead, is set right", async () => {
  const { id } = await server.entry({ parentId: agentId(identity) })
  expect(await issue(id)).toBe(0)
  ahead = 3 * hour
  await expect.poll(() => server.events('svid.issued').then((events) => events.length), { timeout: 10_000 }).toBe(3)
  await expect(issue(id)).rejects.toThrow(/not yet valid/)
  ahead = 0
  await expect.poll(() => issue(id).catch((error) => error.message), { timeout: 10_000 }).toBe(0)
}, 30_000)

it('serves agents on when its clock is set back by hours and right again, and says once in a while what is wrong', async () => {
  const { id } = await server.entry({ parentId: agentId(identity) })
  ahead = -5
  expect(await issue(id)).toBe(0)
  ahead = -3 * hour
  await expect.poll(() => server.errors.map(String), { timeout: 10_000 }).toHaveLength(1)
  expect(String(server.errors[0])).toMatch(/a clock that is ahead; correct the clocks/)
  await new Promise((resolve) => setTimeout(resolve, 2_500))
  expect(server.errors).toHaveLength(1)
  ahead = 0
  expect(await issue(id)).toBe(0)
}, 30_000)
