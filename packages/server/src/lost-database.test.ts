import { connect, createServer, type Server, type Socket } from 'node:net'
import { sql } from 'kysely'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { askToken, issuer, kidOf, publishedKids } from './replicas.fixture.ts'
import { startTestServer, type TestClient, type TestServer } from './server.fixture.ts'
import { rotateSigningKey } from './signing-keys/lifecycle.ts'
import { eventually, hasOwnPostgres, type OwnPostgres, ownPostgres } from './storage/services.fixture.ts'
import { type FreshDatabase, freshPostgresDatabase } from './storage/stores.fixture.ts'

describe.skipIf(!hasOwnPostgres)('a server that loses its PostgreSQL', () => {
  let postgres: OwnPostgres
  let fresh: FreshDatabase
  let wire: Wire
  let server: TestServer
  let client: TestClient

  beforeAll(async () => {
    // With its real fsync: what was committed is there after a crash.
    postgres = await ownPostgres({ durable: true })
  })

  afterAll(() => postgres?.stop())

  beforeEach(async () => {
    fresh = await freshPostgresDatabase(postgres.url)
    wire = await openWire(Number(new URL(postgres.url).port))
    const databaseUrl = new URL(fresh.url)
    databaseUrl.port = String(wire.port)
    server = await startTestServer({ issuer, databaseUrl: databaseUrl.href })
    client = await server.addClient('svc')
    expect((await askToken(server, client)).status).toBe(200)
  })

  afterEach(async () => {
    wire.heal()
    await server.close()
    wire.close()
    await fresh.drop()
  })

  const status = async (path: string) => (await fetch(`${server.url}${path}`)).status

  it('refuses tokens with 503, publishes its keys still, and recovers by itself', async () => {
    const kids = await publishedKids(server)
    postgres.crash()
    const refused = await askToken(server, client)
    expect(refused.status).toBe(503)
    expect(refused.headers.get('retry-after')).toBe('1')
    expect(refused.json).toEqual({ error: 'temporarily_unavailable', error_description: expect.any(String) })
    expect(await publishedKids(server)).toEqual(kids)
    expect(await status('/.well-known/oauth-authorization-server')).toBe(200)
    expect(await status('/healthz')).toBe(200)
    expect(await status('/readyz')).toBe(503)

    // Long enough for the feed to notice: then the cache is empty too, and the answer is the same.
    await new Promise((resolve) => setTimeout(resolve, 1_200))
    expect((await askToken(server, client)).status).toBe(503)
    expect(await publishedKids(server)).toEqual(kids)

    postgres.start()
    await eventually(async () => (await askToken(server, client)).status === 200)
    await eventually(async () => (await status('/readyz')) === 200)
  })

  it('refuses an unknown client and a wrong secret with 503 too while it cannot know or record', async () => {
    postgres.crash()
    for (const wrong of [
      { ...client, id: 'nobody' },
      { ...client, secret: 'cs_secret_wrong' },
    ]) {
      expect((await askToken(server, wrong)).status).toBe(503)
    }
    postgres.start()
    await eventually(async () => (await askToken(server, client)).status === 200)
    expect((await askToken(server, { ...client, secret: 'cs_secret_wrong' })).status).toBe(401)
  })

  it('hears of changes again after the database came back', async () => {
    postgres.crash()
    await new Promise((resolve) => setTimeout(resolve, 700))
    postgres.start()
    await eventually(async () => (await askToken(server, client)).status === 200)
    await fresh.run(`update clients set disabled = 1 where id = 'svc'`)
    await fresh.run(`update store_revision set value = value + 1`)
    await fresh.run(`insert into changes select value, 'client', 'svc', 0 from store_revision`)
    await eventually(async () => (await askToken(server, client)).status === 401)
  })

  it('has one whole key per algorithm after the database died again and again in the middle of rotations', async () => {
    for (let death = 0; death < 4; death++) {
      const rotating = Array.from({ length: 6 }, () => rotateSigningKey('ES256', server.authority.keys).catch(() => {}))
      await new Promise((resolve) => setTimeout(resolve, death * 3))
      postgres.crash()
      await Promise.all(rotating)
      postgres.start()
      await eventually(async () => (await askToken(server, client)).status === 200)
      const active = await fresh.run(`select kid from signing_keys where status = 'active'`)
      expect(active).toHaveLength(1)
      await server.authority.keyRing.load()
      await eventually(async () => {
        const kid = kidOf((await askToken(server, client)).json.access_token)
        return (active as { kid: string }[])[0]?.kid === kid && (await publishedKids(server)).includes(kid)
      })
    }
  })

  it('waits for a slow database, and answers what needs none at once', async () => {
    const enough = Promise.withResolvers<void>()
    const locked = Promise.withResolvers<void>()
    const holding = server.authority.store.transaction(async (transaction) => {
      await sql`lock table audit_events in access exclusive mode`.execute(transaction)
      locked.resolve()
      await enough.promise
    })
    await locked.promise
    const waiting = askToken(server, client)
    const asked = performance.now()
    await publishedKids(server)
    expect(await status('/healthz')).toBe(200)
    // The lock is still held, and no statement has given up on it yet.
    expect(performance.now() - asked).toBeLessThan(4_000)
    setTimeout(enough.resolve, 1_000)
    expect((await waiting).status).toBe(200)
    expect(performance.now() - asked).toBeGreaterThan(900)
    await holding
  })

  it('refuses with 503 when the database takes longer than a client can be asked to wait', async () => {
    const enough = Promise.withResolvers<void>()
    const locked = Promise.withResolvers<void>()
    const holding = server.authority.store.transaction(async (transaction) => {
      await sql`lock table audit_events in access exclusive mode`.execute(transaction)
      locked.resolve()
      await enough.promise
    })
    await locked.promise
    const asked = performance.now()
    const answers = await Promise.all(Array.from({ length: 20 }, () => askToken(server, client)))
    expect(answers.map((answer) => answer.status)).toEqual(Array(20).fill(503))
    // Two commits at the most are waited for: the one under way when a request came, and its own.
    const took = performance.now() - asked
    enough.resolve()
    expect(took).toBeLessThan(12_000)
    await holding
    await eventually(async () => (await askToken(server, client)).status === 200)
  })

  it('gives up on a database that says nothing at all, and recovers when it speaks again', async () => {
    wire.silence()
    const asked = performance.now()
    const answers = await Promise.all(Array.from({ length: 20 }, () => askToken(server, client)))
    expect(answers.map((answer) => answer.status)).toEqual(Array(20).fill(503))
    expect(performance.now() - asked).toBeLessThan(20_000)
    expect(await publishedKids(server)).toHaveLength(1)
    wire.heal()
    await eventually(async () => (await askToken(server, client)).status === 200)
  }, 60_000)

  it('ends in time although the database is away', async () => {
    const databaseUrl = fresh.url
    const second = await startTestServer({ issuer, databaseUrl, masterKey: server.masterKey })
    postgres.crash()
    const asked = performance.now()
    await second.close()
    expect(performance.now() - asked).toBeLessThan(10_000)
    postgres.start()
    await eventually(async () => (await askToken(server, client)).status === 200)
  })
})

interface Wire {
  port: number
  /** From now on nothing passes, and nobody is told so: as when a cable is pulled */
  silence(): void
  heal(): void
  close(): void
}

async function openWire(target: number): Promise<Wire> {
  const sockets = new Set<Socket>()
  let silent = false
  const server: Server = createServer((near) => {
    const far = connect(target, '127.0.0.1')
    for (const [from, to] of [
      [near, far],
      [far, near],
    ] as const) {
      sockets.add(from)
      from.on('data', (data) => void (silent || to.write(data)))
      from.on('error', () => to.destroy())
      from.on('close', () => {
        sockets.delete(from)
        if (!silent) to.destroy()
      })
    }
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    port: (server.address() as { port: number }).port,
    silence: () => {
      silent = true
    },
    heal() {
      if (!silent) return
      silent = false
      // What was swallowed is lost: these connections are of no more use.
      for (const socket of sockets) socket.destroy()
    },
    close() {
      server.close()
      for (const socket of sockets) socket.destroy()
    },
  }
}
