import { type ChildProcess, spawn } from 'node:child_process'
import { createPublicKey } from 'node:crypto'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { chainHash, chainStart, isHeadSigned } from './audit/chain.ts'
import type { AuditHead } from './audit/event.ts'
import { askToken, issuer, jtiOf } from './replicas.fixture.ts'
import { createMasterKey, generateMasterKey } from './sealing/master-key.ts'
import type { TestClient } from './server.fixture.ts'
import { openStore } from './storage/open.ts'
import { eventually, hasOwnPostgres, type OwnPostgres, ownPostgres } from './storage/services.fixture.ts'
import type { Store } from './storage/store.ts'

const masterKey = generateMasterKey()

interface Replica {
  child: ChildProcess
  url: string
  client: TestClient
}

async function startProcess(databaseUrl: string, client?: TestClient, id = 'svc-loaded'): Promise<Replica> {
  const program = fileURLToPath(new URL('replica-process.fixture.ts', import.meta.url))
  const child = spawn(process.execPath, ['--conditions=source', '--disable-warning=ExperimentalWarning', program], {
    env: {
      ...process.env,
      DATABASE_URL: databaseUrl,
      MASTER_KEY: masterKey,
      ISSUER: issuer,
      CLIENT: client ? '' : id,
    },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const [line] = (await once(createInterface({ input: child.stdout as NodeJS.ReadableStream }), 'line')) as [string]
  const ready = JSON.parse(line)
  return { child, url: ready.url, client: client ?? ready.client }
}

/** Asks for tokens, twelve at a time, until the server is gone; the jti of each token that was answered. */
function load(replica: Replica, answered: Set<string>): Promise<unknown> {
  const asking = async () => {
    for (;;) {
      try {
        const { status, json } = await askToken(replica, replica.client)
        if (status === 200) answered.add(jtiOf(json.access_token))
      } catch {
        return
      }
    }
  }
  return Promise.all(Array.from({ length: 12 }, asking))
}

async function kill(replica: Replica): Promise<void> {
  replica.child.kill('SIGKILL')
  if (replica.child.signalCode === null) await once(replica.child, 'exit')
}

/** Follows every chain to its signed head; the jti of every token that is recorded. */
async function verifyChains({ database }: Store): Promise<Set<string>> {
  const recorded = new Set<string>()
  const publicKey = createPublicKey(createMasterKey(masterKey).auditKey)
  const heads = await database.selectFrom('audit_heads').selectAll().execute()
  for (const head of heads) {
    const rows = await database
      .selectFrom('audit_events')
      .selectAll()
      .where('chain', '=', head.chain)
      .orderBy('sequence')
      .execute()
    let hash = chainStart
    for (const [index, row] of rows.entries()) {
      hash = chainHash(hash, row.event)
      expect(row).toMatchObject({ sequence: index + 1, hash })
      const { type, jti } = JSON.parse(row.event)
      if (type === 'token.issued') recorded.add(jti)
    }
    expect(head).toMatchObject({ sequence: rows.length, hash })
    expect(isHeadSigned(head as AuditHead, publicKey)).toBe(true)
  }
  const chains = await database.selectFrom('audit_events').select('chain').distinct().execute()
  expect(chains).toHaveLength(heads.length)
  return recorded
}

async function killUnderLoad(databaseUrl: string, deaths: number): Promise<void> {
  const answered = new Set<string>()
  let client: TestClient | undefined
  for (let death = 0; death < deaths; death++) {
    const replica = await startProcess(databaseUrl, client)
    client = replica.client
    const before = answered.size
    const loading = load(replica, answered)
    await eventually(() => answered.size > before + 100 + death * 37, 20_000)
    await kill(replica)
    await loading
  }
  const store = await openStore(databaseUrl)
  const recorded = await verifyChains(store)
  expect([...answered].filter((jti) => !recorded.has(jti))).toEqual([])
  expect(answered.size).toBeGreaterThan(deaths * 100)
  await store.close()
}

describe('a server that is killed in the middle of issuing', () => {
  it('has recorded every token that it answered, in a chain that verifies, on SQLite', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'countersign-killed-'))
    await killUnderLoad(`sqlite:${join(folder, 'killed.db')}`, 3)
    rmSync(folder, { recursive: true })
  }, 60_000)
})

describe.skipIf(!hasOwnPostgres)('a replica on PostgreSQL with its real fsync', () => {
  let postgres: OwnPostgres

  beforeAll(async () => {
    postgres = await ownPostgres({ durable: true })
  })

  afterAll(() => postgres?.stop())

  it('that is killed in the middle of issuing has recorded every token that it answered', async () => {
    await killUnderLoad(postgres.url, 3)
  }, 60_000)

  it('that loses the database in the middle of issuing has recorded every token that it answered', async () => {
    const replica = await startProcess(postgres.url, undefined, 'svc-database')
    const answered = new Set<string>()
    const loading = load(replica, answered)
    for (let death = 1; death <= 3; death++) {
      const before = answered.size
      await eventually(() => answered.size > before + 100, 20_000)
      postgres.crash()
      postgres.start()
    }
    const before = answered.size
    await eventually(() => answered.size > before + 100, 20_000)
    await kill(replica)
    await loading
    const store = await openStore(postgres.url)
    const recorded = await verifyChains(store)
    expect([...answered].filter((jti) => !recorded.has(jti))).toEqual([])
    await store.close()
  }, 60_000)
})
