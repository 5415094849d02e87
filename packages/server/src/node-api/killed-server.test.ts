import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { parseCertificate } from '@countersign/spiffe'
import { afterAll, expect, it } from 'vitest'
import { openAuthority } from '../authority.ts'
import { createEntry } from '../registration-entries/manage-entries.ts'
import { createMasterKey, generateMasterKey } from '../sealing/master-key.ts'
import { openStore } from '../storage/open.ts'
import { agentId, ask, attestByToken, connect, newKey, type TestIdentity } from './node-api.fixture.ts'

const folder = mkdtempSync(join(tmpdir(), 'countersign-killed-node-api-'))
const databaseUrl = `sqlite:${join(folder, 'killed.db')}`
const masterKey = generateMasterKey()
afterAll(() => rmSync(folder, { recursive: true }))

interface Process {
  child: ChildProcess
  address: string
  roots: Buffer
  token: string
}

async function startProcess(): Promise<Process> {
  const program = fileURLToPath(new URL('node-server-process.fixture.ts', import.meta.url))
  const child = spawn(process.execPath, ['--conditions=source', '--disable-warning=ExperimentalWarning', program], {
    env: { ...process.env, DATABASE_URL: databaseUrl, MASTER_KEY: masterKey },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const [line] = (await once(createInterface({ input: child.stdout as NodeJS.ReadableStream }), 'line')) as [string]
  const ready = JSON.parse(line)
  return { ...ready, child, roots: Buffer.from(ready.roots) }
}

/** Serial numbers of all that was given, until the server is gone. */
async function load(server: Process, identity: TestIdentity, entryId: string, given: Set<string>): Promise<void> {
  const client = connect(server.address, server.roots, identity)
  const { csr } = newKey()
  const params = Array.from({ length: 10 }, () => ({ entryId, csr }))
  const asking = async () => {
    for (;;) {
      try {
        const { results } = await ask(client.svid.batchNewX509Svid, client.svid, { params })
        for (const { svid } of results) given.add(parseCertificate(svid?.certChain[0] as Buffer).serialNumber)
      } catch {
        return
      }
    }
  }
  await Promise.all(Array.from({ length: 4 }, asking))
  client.close()
}

it('has recorded every SVID that it gave when it is killed in the middle of it, and goes on with the same agents (84)', async () => {
  const given = new Set<string>()
  let identity: TestIdentity | undefined
  let entryId = ''
  for (let death = 0; death < 3; death += 1) {
    if (identity && entryId === '') entryId = await addEntry(agentId(identity))
    const server = await startProcess()
    // After the first time it comes with the SVID that it has, as an agent does that kept it on disk.
    if (!identity) {
      const joining = { ...server, roots: () => server.roots, joinToken: async () => server.token }
      identity = await attestByToken(joining as never)
    } else {
      const before = given.size
      const loading = load(server, identity, entryId, given)
      await expect.poll(() => given.size, { timeout: 60_000 }).toBeGreaterThan(before + 50)
      server.child.kill('SIGKILL')
      await loading
    }
    server.child.kill('SIGKILL')
    if (server.child.signalCode === null) await once(server.child, 'exit')
  }
  expect(given.size).toBeGreaterThan(100)
  const store = await openStore(databaseUrl)
  const rows = await store.database
    .selectFrom('audit_events')
    .select('event')
    .where('type', '=', 'svid.issued')
    .execute()
  const recorded = new Set(rows.map(({ event }) => JSON.parse(event).detail.serial_number))
  expect([...given].filter((serial) => !recorded.has(serial))).toEqual([])
  await store.close()
}, 240_000)

async function addEntry(parentId: string): Promise<string> {
  const authority = await openAuthority({
    issuer: 'http://localhost:1/',
    databaseUrl,
    masterKey: createMasterKey(masterKey),
  })
  const spiffeId = 'spiffe://example.org/w'
  const selectors = [{ type: 'unix', value: 'uid:1' }]
  const { id } = await createEntry({ parentId, spiffeId, selectors }, 'example.org', authority, {})
  await authority.close()
  return id
}
