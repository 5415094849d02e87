import { createPublicKey } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { Agent, request } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { parseJwt } from '@countersign/tokens'
import { sql } from 'kysely'
import { afterAll, afterEach, describe, expect, it } from 'vitest'
import { exportEvents, exportHeads } from './audit/export.ts'
import { verifyChains } from './audit/verify.ts'
import { generateMasterKey } from './sealing/master-key.ts'
import { basic, readAnswer, startTestServer, type TestClient, type TestServer } from './server.fixture.ts'
import { spawnServer } from './server-process.fixture.ts'
import { mountSmallDisk } from './small-disk.fixture.ts'

const cleanups: (() => void | Promise<void>)[] = []
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup()
})

function directory(): string {
  const path = mkdtempSync(join(tmpdir(), 'countersign-faults-'))
  cleanups.push(() => rmSync(path, { recursive: true, force: true }))
  return path
}

const issuer = 'https://auth.example.com/'
const grant = { grant_type: 'client_credentials' }

async function expectWhole({ authority }: TestServer, answered: Iterable<string>) {
  const { database } = authority.store
  const recorded = new Set<unknown>()
  async function* watched() {
    for await (const event of exportEvents(database)) {
      if (event.type === 'token.issued') recorded.add(event.jti)
      yield event
    }
  }
  const { broken, chains } = await verifyChains({
    events: watched(),
    heads: await exportHeads(database),
    publicKey: createPublicKey(authority.masterKey.auditKey),
  })
  expect(broken).toEqual([])
  expect([...answered].filter((jti) => !recorded.has(jti))).toEqual([])
  return chains
}

describe('kill -9 under load', () => {
  it('leaves a chain that verifies, a row for every token that was answered, and a file that opens', async () => {
    const settings = { databaseUrl: `sqlite:${join(directory(), 'server.db')}`, masterKey: generateMasterKey(), issuer }
    const first = await startTestServer(settings)
    const client = await first.addClient('svc-a')
    // WAL with a real fsync per commit (2 is FULL): what was answered is on the disk, not only in the kernel.
    const { rows } = await sql<{ synchronous: number }>`pragma synchronous`.execute(first.authority.store.database)
    expect(rows[0]?.synchronous).toBe(2)
    await first.close()

    const answered = new Set<string>()
    for (let round = 0; round < 3; round += 1) {
      const server = await spawnServer(settings)
      const load = loadUntilItDies(server.url, client, answered)
      const before = answered.size
      while (answered.size < before + 150) await new Promise((resolve) => setTimeout(resolve, 10))
      await server.kill()
      await load
    }
    const after = await startTestServer(settings)
    cleanups.push(() => after.close())
    expect(answered.size).toBeGreaterThan(450)
    const chains = await expectWhole(after, answered)
    // Three deaths have not begun another chain: nothing was torn.
    expect(chains).toHaveLength(1)
    expect(parseJwt(await after.token(client)).claims.iss).toBe(issuer)
  }, 90_000)
})

/** Sixteen connections that ask as fast as they can, until nobody answers. */
async function loadUntilItDies(url: string, client: TestClient, answered: Set<string>): Promise<void> {
  const agent = new Agent({ keepAlive: true, maxSockets: 16 })
  const one = () =>
    new Promise<string>((resolve, reject) => {
      const sent = request(`${url}/oauth/token`, {
        method: 'POST',
        agent,
        headers: { 'content-type': 'application/x-www-form-urlencoded', authorization: basic(client) },
      })
      sent.on('error', reject)
      sent.on('response', (response) => {
        let text = ''
        response.on('data', (chunk) => {
          text += chunk
        })
        response
          .on('error', reject)
          .on('close', () => (response.complete ? resolve(text) : reject(new Error('cut off'))))
      })
      sent.end('grant_type=client_credentials')
    })
  const loop = async () => {
    for (;;) {
      const text = await one().catch(() => undefined)
      if (text === undefined) return
      const { access_token } = JSON.parse(text)
      if (access_token) answered.add(parseJwt(access_token).claims.jti as string)
    }
  }
  await Promise.all(Array.from({ length: 16 }, loop))
  agent.destroy()
}

const small = mountSmallDisk()
afterAll(() => small.unmount())

describe('a full disk', () => {
  it.skipIf(small.path === '')(
    `stops issuing with 503, goes on with keys and introspection, and issues again when there is room${small.leftOut}`,
    async () => {
      const { path } = small
      const server = await startTestServer({
        databaseUrl: `sqlite:${join(path, 'server.db')}`,
        masterKey: generateMasterKey(),
        issuer,
      })
      cleanups.push(() => server.close())
      const client = await server.addClient('svc-a')
      const live = await server.token(client)
      const answered = new Set<string>([parseJwt(live).claims.jti as string])

      const refusals = await issueUntilFull(server, client, answered)
      for (const { status, json, headers } of refusals) {
        expect([status, json.error]).toEqual([503, 'temporarily_unavailable'])
        expect(headers.get('retry-after')).toBe('1')
        expect(headers.get('cache-control')).toBe('no-store')
      }
      expect((await server.post('/oauth/token', grant, { ...client, secret: 'wrong' })).status).toBe(503)
      expect((await readAnswer(await fetch(`${server.url}/.well-known/jwks.json`))).json.keys.length).toBeGreaterThan(0)
      const introspection = await server.post('/oauth/introspect', { token: live }, client)
      expect([introspection.status, introspection.json.active]).toEqual([200, true])
      // What cannot be recorded is not revoked either, and says so.
      expect((await server.post('/oauth/revoke', { token: live }, client)).status).toBe(503)

      small.grow()
      answered.add(parseJwt(await server.token(client)).claims.jti as string)
      expect((await server.post('/oauth/revoke', { token: live }, client)).status).toBe(200)
      expect((await server.post('/oauth/introspect', { token: live }, client)).json.active).toBe(false)
      expect(await expectWhole(server, answered)).toHaveLength(1)
    },
    60_000,
  )
})

/** Stays at it until ten in a row are refused: a commit may still fit where a larger one did not. */
async function issueUntilFull(server: TestServer, client: TestClient, answered: Set<string>) {
  const refused: Awaited<ReturnType<TestServer['post']>>[] = []
  for (let sent = 0; sent < 3000 && refused.length < 10; sent += 1) {
    const answer = await server.post('/oauth/token', grant, client)
    if (answer.status === 200) {
      answered.add(parseJwt(answer.json.access_token).claims.jti as string)
      refused.length = 0
    } else refused.push(answer)
  }
  expect(refused).toHaveLength(10)
  return refused
}

describe('a database that somebody else has locked', () => {
  it('stops issuing with 503 while the published keys are still served, and then goes on in the same chain', async () => {
    const server = await startTestServer()
    cleanups.push(() => server.close())
    const client = await server.addClient('svc-a')
    const first = await server.token(client)
    const file = new DatabaseSync(server.databaseUrl.slice('sqlite:'.length))
    cleanups.push(() => file.close())
    file.exec('begin exclusive')
    const refused = server.post('/oauth/token', grant, client)
    const jwks = await readAnswer(await fetch(`${server.url}/.well-known/jwks.json`))
    expect([jwks.status, jwks.json.keys.length]).toEqual([200, 1])
    const answer = await refused
    expect([answer.status, answer.json.error]).toEqual([503, 'temporarily_unavailable'])
    expect((await server.post('/oauth/introspect', { token: first }, client)).json.active).toBe(true)
    file.exec('commit')
    const second = await server.token(client)
    const answered = [first, second].map((token) => parseJwt(token).claims.jti as string)
    expect(await expectWhole(server, answered)).toHaveLength(1)
  })
})
