import { spawn } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { type AuthoritySettings, ensureAdminClient } from '@countersign/server'
import { createClientSecret } from '@countersign/tokens'
import { startTestServer, type TestServer } from '../../server/src/server.fixture.ts'

export const main = fileURLToPath(new URL('./main.ts', import.meta.url))
export const launcher = join(dirname(dirname(main)), 'bin', 'countersign.js')
export const nodeFlags = ['--conditions=source', '--disable-warning=ExperimentalWarning']

/** As the launcher has it: a test starts many processes. */
const compileCache = join(dirname(dirname(main)), 'node_modules', '.cache', 'compiled')

/** A home that is not there, whatever anybody has tried on this machine. */
const noHome = join(tmpdir(), `countersign-no-home-${process.pid}`)

export interface Ran {
  code: number | null
  stdout: string
  stderr: string
  // biome-ignore lint/suspicious/noExplicitAny: tests look at what is there
  json: any
}

export interface RunOptions {
  env?: NodeJS.ProcessEnv
  stdin?: string
  cwd?: string
}

/** Runs the command line as a process, with nothing of this one's environment but the path. */
export function runCli(args: readonly string[], { env = {}, stdin = '', cwd }: RunOptions = {}): Promise<Ran> {
  const clean = { PATH: process.env.PATH, HOME: noHome, NODE_COMPILE_CACHE: compileCache, ...env }
  const child = spawn(process.execPath, [...nodeFlags, main, ...args], { env: clean, cwd })
  let [stdout, stderr] = ['', '']
  child.stdout.on('data', (chunk) => (stdout += chunk))
  child.stderr.on('data', (chunk) => (stderr += chunk))
  child.stdin.on('error', () => {})
  child.stdin.end(stdin)
  return new Promise((resolve) => {
    child.on('close', (code) => resolve({ code, stdout, stderr, json: parse(stdout) }))
  })
}

export interface CliServer {
  server: TestServer
  /** An empty folder for the files of the test; also its configuration folder */
  folder: string
  /** What an administrator's environment holds */
  env: NodeJS.ProcessEnv
  adminSecret: string
  /** Runs a command as the administrator, words separated by spaces */
  run(command: string, options?: RunOptions): Promise<Ran>
  close(): Promise<void>
}

/** A server on a real socket, and an administrator at its command line. */
export async function startCliServer(settings: Partial<AuthoritySettings> = {}): Promise<CliServer> {
  const server = await startTestServer({ settings })
  const folder = await mkdtemp(join(tmpdir(), 'countersign-cli-'))
  const adminSecret = createClientSecret()
  await ensureAdminClient(server.authority, { clientId: 'admin', clientSecret: adminSecret })
  const env = {
    XDG_CONFIG_HOME: folder,
    COUNTERSIGN_URL: server.url,
    COUNTERSIGN_CLIENT_ID: 'admin',
    COUNTERSIGN_CLIENT_SECRET: adminSecret,
  }
  return {
    server,
    folder,
    env,
    adminSecret,
    run: (command, options = {}) =>
      runCli(command.split(' '), { cwd: folder, ...options, env: { ...env, ...options.env } }),
    async close() {
      await server.close()
      await rm(folder, { recursive: true, force: true })
    },
  }
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
