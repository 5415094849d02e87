import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createClient } from 'redis'
import { freePort } from '../../server/src/free-port.fixture.ts'

const given = process.env.COUNTERSIGN_TEST_REDIS_URL
const program = process.env.COUNTERSIGN_TEST_REDIS_PROGRAM ?? 'redis-server'
const installed = spawnSync(program, ['--version']).status === 0

/** True where suites that need Redis must be left out; in CI it is never true, so that they fail there instead. */
export const withoutRedis = missing(
  given !== undefined || installed,
  'install redis-server or set COUNTERSIGN_TEST_REDIS_URL',
)
/** The same for tests that stop or configure a Redis of their own. */
export const withoutOwnRedis = missing(installed, 'install redis-server')

type Client = ReturnType<typeof createTestClient>

export interface TestRedis extends AsyncDisposable {
  client: Client
  url: string
  /** Another connection, as a second replica has. */
  connect(): Promise<Client>
  /** Ends the server, abruptly; only of a Redis of one's own. */
  kill(): Promise<void>
}

/** The Redis that the environment names, else one of the test's own. */
export function startRedis(): Promise<TestRedis> {
  return given === undefined ? startOwnRedis() : connect(given, async () => {})
}

/** A redis-server on a free port, without persistence, ended with the test. */
export async function startOwnRedis(...settings: string[]): Promise<TestRedis> {
  if (!installed) throw new Error('redis-server is not on the PATH; install it: apt-get install -y redis-server')
  const port = await freePort()
  // Where whoever runs the tests looks for what a killed one has left running.
  const folder = mkdtempSync(join(process.env.COUNTERSIGN_TEST_SERVICES_FOLDER ?? tmpdir(), 'redis-'))
  const place = ['--port', String(port), '--bind', '127.0.0.1', '--dir', folder, '--pidfile', join(folder, 'redis.pid')]
  const server = spawn(program, [...place, '--save', '', '--appendonly', 'no', ...settings], { stdio: 'ignore' })
  return connect(`redis://127.0.0.1:${port}`, async () => {
    await ended(server)
    rmSync(folder, { recursive: true, force: true })
  })
}

async function connect(url: string, kill: () => Promise<void>): Promise<TestRedis> {
  const clients: Client[] = []
  const another = async () => {
    const client = createTestClient(url)
    client.on('error', () => {})
    clients.push(client)
    await client.connect()
    return client
  }
  return {
    client: await another(),
    url,
    connect: another,
    kill,
    async [Symbol.asyncDispose]() {
      for (const client of clients) client.destroy()
      await kill()
    },
  }
}

function createTestClient(url: string) {
  const giveUp = new Error(`no Redis at ${url}`)
  return createClient({ url, socket: { reconnectStrategy: (retries) => (retries < 250 ? 20 : giveUp) } })
}

function ended(server: ChildProcess): Promise<void> {
  if (server.exitCode !== null || server.signalCode !== null) return Promise.resolve()
  return new Promise((resolve) => {
    server.once('exit', () => resolve())
    server.kill('SIGKILL')
  })
}

function missing(available: boolean, cure: string): boolean {
  if (available) return false
  if (process.env.CI) return false
  console.warn(`left out: tests that need Redis; ${cure}`)
  return true
}
