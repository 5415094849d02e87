import { randomUUID } from 'node:crypto'
import { createServer, type Server } from 'node:http'
import { createRedisSingleUse } from '@countersign/limits'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { startOwnRedis, startRedis, withoutOwnRedis, withoutRedis } from '../../../limits/src/redis.fixture.ts'
import { createGuard } from '../guard.ts'
import { closing, listening } from '../listening.fixture.ts'
import { guardNode } from '../node.ts'
import { startSenders, type TestSender, type TestSenders } from './senders.fixture.ts'
import type { ServiceTokenUses } from './service-token-options.ts'

const call = { method: 'POST', target: '/v1/stock', content: '{"n":1}' }
let senders: TestSenders
let order: TestSender
const servers: Server[] = []
beforeAll(async () => {
  senders = await startSenders()
  order = await senders.add('order')
})
afterEach(async () => {
  for (const server of servers.splice(0)) await closing(server)
})
afterAll(() => senders.stop())

/** One replica of a service, on a socket of its own. */
async function replica(uses: ServiceTokenUses): Promise<string> {
  const guard = createGuard({ serviceTokens: { name: 'inventory', keys: senders.template, uses } })
  const server = createServer(guardNode(guard, {}, (_request, response) => response.end('{}')))
  servers.push(server)
  return listening(server)
}

async function send(origin: string, token: string): Promise<string> {
  const headers = { 'x-m2m-token': token, connection: 'close' }
  const answer = await fetch(origin + call.target, { method: 'POST', headers, body: call.content })
  const { reason } = (await answer.json()) as { reason?: string }
  return reason === undefined ? String(answer.status) : `${answer.status} ${reason}`
}

describe.skipIf(withoutRedis)('replicas on one Redis', () => {
  it('let a token pass at one of them, 100 at once (68)', async () => {
    await using redis = await startRedis()
    const prefix = `${randomUUID()}:`
    const clients = [redis.client, await redis.connect()]
    const uses = clients.map((client) => createRedisSingleUse({ client, prefix }))
    await warm(uses)
    const origins = await Promise.all(uses.map(replica))
    const token = order.forCall(call)
    const answers = await Promise.all(Array.from({ length: 100 }, (_, index) => send(origins[index % 2]!, token)))
    expect(answers.filter((answer) => answer === '200')).toHaveLength(1)
    expect(answers.filter((answer) => answer === '401 replayed')).toHaveLength(99)
  })

  it('know after a restart what was used before it (68)', async () => {
    await using redis = await startRedis()
    const prefix = `${randomUUID()}:`
    const uses = createRedisSingleUse({ client: redis.client, prefix })
    await warm([uses])
    const [used, unused] = [order.forCall(call), order.forCall(call)]
    expect(await send(await replica(uses), used)).toBe('200')
    const restarted = await replica(createRedisSingleUse({ client: await redis.connect(), prefix }))
    expect(await send(restarted, used)).toBe('401 replayed')
    expect(await send(restarted, unused)).toBe('200')
  })
})

describe.skipIf(withoutOwnRedis)('a Redis', () => {
  it('that is away lets nobody pass (81)', async () => {
    await using redis = await startOwnRedis()
    const uses = createRedisSingleUse({ client: redis.client, timeoutMilliseconds: 200 })
    await warm([uses])
    const origin = await replica(uses)
    expect(await send(origin, order.forCall(call))).toBe('200')
    await redis.kill()
    expect(await send(origin, order.forCall(call))).toBe('503 uses_unavailable')
  })

  it('that was emptied by a restart does not make used tokens good again (94)', async () => {
    await using before = await startOwnRedis()
    await using after = await startOwnRedis()
    const first = createRedisSingleUse({ client: before.client })
    await warm([first])
    const used = order.forCall(call)
    expect(await send(await replica(first), used)).toBe('200')
    const second = createRedisSingleUse({ client: after.client })
    await warm([second])
    expect(await send(await replica(second), used)).toBe('401 replayed')
    expect(await send(await replica(second), order.forCall(call))).toBe('200')
  })
})

/** Until Redis has begun to remember: what is signed from then on passes. */
async function warm(uses: readonly ReturnType<typeof createRedisSingleUse>[]): Promise<void> {
  for (const each of uses) {
    await each.use(randomUUID(), Date.now() / 1000 + 5, { issuedAt: Date.now() / 1000 }).catch(() => {})
  }
  await new Promise((done) => setTimeout(done, 5))
}
