import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import { httpBinding } from '@countersign/tokens'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { startOwnRedis, type TestRedis, withoutOwnRedis } from '../../limits/src/redis.fixture.ts'
import { createWorld, type StartedService, type World } from './world.fixture.ts'

const document = { businessApis: [{ name: 'take', authOptions: { loginRequired: false, M2MAllowed: true } }] }
const code = { handlers: { take: () => ({ ok: true }) } }

describe.skipIf(withoutOwnRedis)('two replicas on one Redis', () => {
  let world: World
  let redis: TestRedis
  let first: StartedService
  let second: StartedService
  beforeAll(async () => {
    world = await createWorld()
    redis = await startOwnRedis()
    const start = () => world.start('inventory', document, { ...code, environment: { REDIS_URL: redis.url } })
    first = await start()
    second = await start()
  })
  afterAll(async () => {
    await world[Symbol.asyncDispose]()
    await redis[Symbol.asyncDispose]()
  })

  const token = () => {
    const binding = httpBinding({ method: 'POST', target: '/take', content: Buffer.alloc(0) })
    return world.signer('order').sign({ audience: 'inventory-service', binding })
  }
  const send = async (at: StartedService, signed: string) => {
    const response = await fetch(`${at.url}/take`, { method: 'POST', headers: { 'x-m2m-token': signed } })
    return { status: response.status, retry: response.headers.get('retry-after'), text: await response.text() }
  }

  it('take a token once between them, however often it comes at once', async () => {
    const signed = token()
    const answers = await Promise.all(
      Array.from({ length: 40 }, (_, index) => send(index % 2 ? first : second, signed)),
    )
    expect(answers.filter(({ status }) => status === 200)).toHaveLength(1)
    expect(answers.every(({ status }) => status === 200 || status === 401)).toBe(true)
  })

  it('know what was used before one of them started', async () => {
    const signed = token()
    expect((await send(first, signed)).status).toBe(200)
    const third = await world.start('inventory', document, { ...code, environment: { REDIS_URL: redis.url } })
    expect(await send(third, signed)).toMatchObject({ status: 401, text: expect.stringContaining('"replayed"') })
    expect((await send(third, token())).status).toBe(200)
  })

  it('connect anew where it has vanished without a word, and are not ready until then', async () => {
    await using network = await startNetwork(redis.url)
    const cut = await world.start('inventory', document, { ...code, environment: { REDIS_URL: network.url } })
    expect((await send(cut, token())).status).toBe(200)
    network.forgetConnections()
    expect((await send(cut, token())).status).toBe(503)
    expect((await fetch(`${cut.url}/readyz`)).status).toBe(503)
    const again = async () => expect((await send(cut, token())).status).toBe(200)
    await vi.waitFor(again, { timeout: 20_000, interval: 200 })
    expect((await fetch(`${cut.url}/readyz`)).status).toBe(200)
  })

  it('let nothing pass while it is away, and are not ready', async () => {
    await using own = await startOwnRedis()
    const alone = await world.start('inventory', document, { ...code, environment: { REDIS_URL: own.url } })
    await own.kill()
    const refused = await send(alone, token())
    expect({ ...refused, retry: Number(refused.retry) > 0 }).toMatchObject({ status: 503, retry: true })
    expect((await fetch(`${alone.url}/readyz`)).status).toBe(503)
    expect((await fetch(`${alone.url}/healthz`)).status).toBe(200)
  })
})

/** Between a service and Redis. The connections that it forgets stay open, and nothing comes through them any more. */
async function startNetwork(to: string) {
  const { hostname, port } = new URL(to)
  const ends: Socket[] = []
  const server = createServer((near) => {
    const far = connect(Number(port), hostname)
    near
      .on('error', () => {})
      .pipe(far.on('error', () => {}))
      .pipe(near)
    ends.push(near, far)
  })
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done))
  return {
    url: `redis://127.0.0.1:${(server.address() as AddressInfo).port}`,
    forgetConnections() {
      for (const end of ends) end.unpipe().pause()
    },
    async [Symbol.asyncDispose]() {
      for (const end of ends) end.destroy()
      server.close()
    },
  }
}
