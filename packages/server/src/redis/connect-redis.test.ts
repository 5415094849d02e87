import { createClient } from 'redis'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { createRedisAssertions } from '../client-auth/redis-assertions.ts'
import { addKeyClient, askToken, startReplicas } from '../replicas.fixture.ts'
import { postForm, startTestServer, type TestServer } from '../server.fixture.ts'
import { eventually, hasOwnRedis, type OwnRedis, ownRedis } from '../storage/services.fixture.ts'
import { type FreshDatabase, freshDatabase } from '../storage/stores.fixture.ts'
import { connectRedis, type RedisConnection } from './connect-redis.ts'

const tokenLimits = {
  perAddress: { name: 'address', quota: 10_000, windowSeconds: 60 },
  perClient: { name: 'client', quota: 6, windowSeconds: 60 },
  failuresPerAddress: { name: 'failures', quota: 4, windowSeconds: 60 },
}

describe('connecting to Redis', () => {
  it('fails with a sentence when nobody answers, and without the password', async () => {
    const failure = await connectRedis('redis://app:hunter2hunter2@127.0.0.1:1').catch((error) => error)
    expect(failure).toMatchObject({ name: 'StoreError', code: 'unavailable' })
    expect(failure.message).toMatch(/^Redis at 127\.0\.0\.1:1 cannot be used: .*ECONNREFUSED/)
    expect(`${failure.message}${failure.stack}`).not.toContain('hunter2')
  })

  it('fails with a sentence for what is no Redis URL', async () => {
    await expect(connectRedis('http://127.0.0.1:1')).rejects.toMatchObject({ code: 'unavailable' })
  })
})

describe.skipIf(!hasOwnRedis)('Redis', () => {
  let redis: OwnRedis
  let connections: RedisConnection[]

  beforeAll(async () => {
    redis = await ownRedis()
  })

  afterAll(() => redis?.stop())

  beforeEach(async () => {
    connections = []
    await command('FLUSHALL')
  })

  async function command(...words: string[]): Promise<unknown> {
    const client = createClient({ url: redis.url })
    await client.connect()
    const answer = await client.sendCommand(words)
    client.destroy()
    return answer
  }

  async function connection(): Promise<RedisConnection> {
    const made = await connectRedis(redis.url)
    connections.push(made)
    return made
  }

  async function closeAll(servers: TestServer[], fresh?: FreshDatabase): Promise<void> {
    for (const server of servers) await server.close()
    for (const made of connections) await made.close()
    await fresh?.drop()
  }

  it('is refused when it may evict what must be remembered', async () => {
    await command('CONFIG', 'SET', 'maxmemory', '100mb')
    await command('CONFIG', 'SET', 'maxmemory-policy', 'allkeys-lru')
    await expect(connectRedis(redis.url)).rejects.toThrow(/maxmemory-policy allkeys-lru.*noeviction/)
    await command('CONFIG', 'SET', 'maxmemory-policy', 'noeviction')
    await (await connection()).close()
    await command('CONFIG', 'SET', 'maxmemory', '0')
  })

  describe.skipIf(!process.env.COUNTERSIGN_TEST_POSTGRES_URL)('between two replicas', () => {
    async function replicas() {
      const fresh = await freshDatabase('postgres')
      const shared = [await connection(), await connection()] as const
      const [one, other] = await startReplicas(fresh.url, (replica) => ({
        settings: { redis: shared[replica as 0 | 1].client },
        app: { limiter: shared[replica as 0 | 1].limiter, tokenLimits },
      }))
      return { fresh, one, other, servers: [one, other] }
    }

    it('has an assertion used on one refused by the other, and a hundred at once accepted once', async () => {
      const { fresh, one, other, servers } = await replicas()
      const assertion = await addKeyClient(one, 'svc')
      await other.authority.feed.catchUp()
      const form = assertion()
      expect((await postForm(`${one.url}/oauth/token`, form)).status).toBe(200)
      expect((await postForm(`${other.url}/oauth/token`, form)).status).toBe(401)
      const again = assertion()
      const memories = servers.map(({ authority }) => authority.assertions)
      const id = again.client_assertion as string
      const at = Math.floor(Date.now() / 1000)
      const uses = await Promise.all(Array.from({ length: 100 }, (_, n) => memories[n % 2]?.firstUse(id, at + 60, at)))
      expect(uses.filter(Boolean)).toHaveLength(1)
      expect(await one.authority.store.database.selectFrom('used_assertions').selectAll().execute()).toEqual([])
      await closeAll(servers, fresh)
    })

    it('counts the tokens of a client on both together', async () => {
      const { fresh, one, other, servers } = await replicas()
      const client = await one.addClient('svc')
      await other.authority.feed.catchUp()
      const statuses: number[] = []
      for (let index = 0; index < 8; index++) statuses.push((await askToken(index % 2 ? one : other, client)).status)
      expect(statuses).toEqual([200, 200, 200, 200, 200, 200, 429, 429])
      await closeAll(servers, fresh)
    })

    it('counts failed guesses on both together, and lets the right secret pass', async () => {
      const { fresh, one, other, servers } = await replicas()
      const client = await one.addClient('svc')
      await other.authority.feed.catchUp()
      const guess = { ...client, secret: 'cs_secret_guess' }
      const statuses: number[] = []
      for (let index = 0; index < 6; index++) statuses.push((await askToken(index % 2 ? one : other, guess)).status)
      expect(statuses).toEqual([401, 401, 401, 401, 429, 429])
      expect((await askToken(other, client)).status).toBe(200)
      await closeAll(servers, fresh)
    })
  })

  it('that dies closes the token endpoint with 503, quickly, and opens it again by itself', async () => {
    const { client: shared, limiter } = await connection()
    const server = await startTestServer({ settings: { redis: shared }, app: { limiter, tokenLimits } })
    const client = await server.addClient('svc')
    expect((await askToken(server, client)).status).toBe(200)
    redis.crash()
    for (let index = 0; index < 3; index++) {
      const asked = performance.now()
      const refused = await askToken(server, client)
      expect(refused.status).toBe(503)
      expect(refused.json.error).toBe('temporarily_unavailable')
      expect(refused.headers.get('retry-after')).toBe('1')
      expect(performance.now() - asked).toBeLessThan(10_000)
    }
    expect((await fetch(`${server.url}/.well-known/jwks.json`)).status).toBe(200)
    await redis.start()
    await eventually(async () => (await askToken(server, client)).status === 200)
    await closeAll([server])
  })

  it('that dies has assertions refused with 503, not accepted unchecked', async () => {
    const { client: shared } = await connection()
    const issuer = 'https://auth.example.com/'
    const server = await startTestServer({ issuer, settings: { redis: shared } })
    const assertion = await addKeyClient(server, 'svc')
    const form = assertion()
    redis.crash()
    expect((await postForm(`${server.url}/oauth/token`, form)).status).toBe(503)
    await redis.start()
    await eventually(async () => (await postForm(`${server.url}/oauth/token`, assertion())).status === 200)
    await closeAll([server])
  })

  it('that came back empty does not have an assertion accepted a second time', async () => {
    const { client } = await connection()
    const memory = createRedisAssertions(client, 'issuer', () => Math.floor(Date.now() / 1000))
    const at = Math.floor(Date.now() / 1000)
    expect(await memory.firstUse('a', at + 60, at)).toBe(true)
    await new Promise((resolve) => setTimeout(resolve, 1_100))
    await command('FLUSHALL')
    expect(await memory.firstUse('a', at + 60, at)).toBe(false)
    const later = Math.floor(Date.now() / 1000)
    expect(await memory.firstUse('b', later + 60, later)).toBe(true)
    for (const made of connections) await made.close()
  })

  it('that came back with an old copy of its memory does not have an assertion accepted a second time', async () => {
    const { client } = await connection()
    const now = () => Math.floor(Date.now() / 1000)
    const memory = createRedisAssertions(client, 'issuer', now)
    expect(await memory.firstUse('kept', now() + 60, now())).toBe(true)
    await command('SAVE')
    const at = now()
    expect(await memory.firstUse('lost', at + 60, at)).toBe(true)
    await new Promise((resolve) => setTimeout(resolve, 1_100))
    redis.crash()
    await redis.start()
    await eventually(async () => (await client.sendCommand(['PING'])) === 'PONG')
    expect(await client.sendCommand(['DBSIZE'])).toBe(2)
    expect(await memory.firstUse('lost', at + 60, at)).toBe(false)
    expect(await memory.firstUse('new', now() + 60, now())).toBe(true)
    for (const made of connections) await made.close()
  })

  it('keeps deployments apart that share it', async () => {
    const { client } = await connection()
    const now = () => Math.floor(Date.now() / 1000)
    const [staging, production] = ['staging', 'production'].map((scope) => createRedisAssertions(client, scope, now))
    expect(await staging?.firstUse('a', now() + 60, now())).toBe(true)
    expect(await production?.firstUse('a', now() + 60, now())).toBe(true)
    expect(await staging?.firstUse('a', now() + 60, now())).toBe(false)
    for (const made of connections) await made.close()
  })
})
