import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { generateMasterKey } from './sealing/master-key.ts'
import { postForm, startTestServer, testAudience } from './server.fixture.ts'
import { type ServerProcess, spawnServer } from './server-process.fixture.ts'

// A machine that loses power keeps what was synced and nothing else. So it is enough to see, from the outside, that
// between writing an event's row and answering there is always a sync of that very file.
const hasStrace = spawnSync('strace', ['-V']).status === 0
if (!hasStrace && process.env.CI) throw new Error('strace is missing: apt-get install strace')

let folder: string
let server: ServerProcess
let client: { id: string; secret: string }

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'countersign-power-'))
  const settings = {
    databaseUrl: `sqlite:${join(folder, 'countersign.db')}`,
    masterKey: generateMasterKey(),
    issuer: 'http://localhost:8080/',
  }
  const before = await startTestServer(settings)
  client = await before.addClient('svc')
  await before.close()
  server = await spawnServer(settings)
})
afterAll(async () => {
  await server.kill()
  rmSync(folder, { recursive: true, force: true })
})

it.skipIf(!hasStrace)('syncs the row of every token before the token leaves, as a loss of power demands', async () => {
  const trace = join(folder, 'trace')
  const tracer = await attach(server.pid, trace)
  const form = { grant_type: 'client_credentials', audience: testAudience }
  // One after the other, so that each answer stands behind its own commit.
  for (let round = 0; round < 20; round += 1) {
    expect((await postForm(`${server.url}/oauth/token`, form, client)).status).toBe(200)
  }
  await detach(tracer)

  const calls = readFileSync(trace, 'utf8').split('\n').map(callOf).join('')
  const beforeEachAnswer = calls.split('answer ').slice(0, -1)
  expect(beforeEachAnswer).toHaveLength(20)
  for (const done of beforeEachAnswer) expect(done).toMatch(/write (write )*sync /)
})

function callOf(line: string): 'write ' | 'sync ' | 'answer ' | '' {
  if (/\bpwrite64\(\d+<[^>]*-wal>/.test(line)) return 'write '
  if (/\bf(data)?sync\(\d+<[^>]*-wal>/.test(line)) return 'sync '
  return /"HTTP\/1\.1 200/.test(line) ? 'answer ' : ''
}

async function attach(pid: number, file: string): Promise<ChildProcess> {
  const calls = 'trace=pwrite64,fsync,fdatasync,write,writev,sendto,sendmsg'
  const tracer = spawn('strace', ['-f', '-y', '-s', '32', '-e', calls, '-o', file, '-p', String(pid)], {
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  await once(tracer.stderr!, 'data')
  return tracer
}

async function detach(tracer: ChildProcess): Promise<void> {
  const ended = once(tracer, 'exit')
  tracer.kill('SIGINT')
  await ended
}
