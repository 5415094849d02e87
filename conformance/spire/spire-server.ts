import { spawn } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { freePort } from '../free-port.ts'
import { MissingRuntime } from '../missing-runtime.ts'
import { runProgram } from '../program.ts'
import { until } from '../until.ts'

/** Lifetimes so short that a test sees several rotations. */
const svidLifetime = '10s'

export interface SpireServer {
  readonly address: string
  readonly trustDomain: string
  /** PEM of the trust bundle at the start. */
  readonly bundleFile: string
  /** Runs `spire-server ARGS`; gives back what it printed. */
  run(...args: string[]): Promise<string>
  /** As `run`, of `-output json`. */
  // biome-ignore lint/suspicious/noExplicitAny: SPIRE's own shapes
  json(...args: string[]): Promise<any>
  stop(): Promise<void>
}

/** @throws MissingRuntime when there is no spire-server on PATH */
export async function findSpireServer(): Promise<string> {
  const { status, stderr } = await runProgram('spire-server', ['--version'])
  if (status !== 0) throw new MissingRuntime(`put a spire-server on PATH (${stderr.trim()})`, { isOptional: true })
  return 'spire-server'
}

/** SPIRE's server as it is, with node attestation by join token and by certificates of `x509popCa`. */
export async function startSpireServer(program: string, x509popCa: string): Promise<SpireServer> {
  const folder = mkdtempSync(join(tmpdir(), 'spire-'))
  const port = await freePort()
  const socket = join(folder, 'api.sock')
  const caFile = join(folder, 'pop-ca.pem')
  writeFileSync(caFile, x509popCa)
  writeFileSync(join(folder, 'server.conf'), configuration({ folder, port, socket, caFile }))
  const child = spawn(program, ['run', '-config', join(folder, 'server.conf')], { stdio: ['ignore', 'pipe', 'pipe'] })
  let output = ''
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', (text) => (output += text))

  const run = async (...args: string[]) => {
    // The last word of the verb ends where the flags begin.
    const flags = args.findIndex((argument) => argument.startsWith('-'))
    const at = flags < 0 ? args.length : flags
    const all = [...args.slice(0, at), '-socketPath', socket, ...args.slice(at)]
    const { status, stdout, stderr } = await runProgram(program, all)
    if (status !== 0) throw new Error(`spire-server ${args.join(' ')}: ${stdout}${stderr}`)
    return stdout
  }
  await until(() => run('healthcheck').then(() => true), {
    milliseconds: 60_000,
    stop: () => (child.exitCode === null ? undefined : `spire-server ended: ${output.slice(-2000)}`),
  })
  const bundleFile = join(folder, 'bundle.pem')
  writeFileSync(bundleFile, await run('bundle', 'show'))
  return {
    address: `127.0.0.1:${port}`,
    trustDomain: 'example.org',
    bundleFile,
    run,
    json: async (...args) => JSON.parse(await run(...args, '-output', 'json')),
    async stop() {
      const ended = new Promise((resolve) => child.once('close', resolve))
      child.kill('SIGTERM')
      await ended
      rmSync(folder, { recursive: true, force: true })
    },
  }
}

function configuration(paths: { folder: string; port: number; socket: string; caFile: string }): string {
  return `
server {
  bind_address = "127.0.0.1"
  bind_port = "${paths.port}"
  socket_path = "${paths.socket}"
  trust_domain = "example.org"
  data_dir = "${paths.folder}"
  log_level = "WARN"
  ca_key_type = "ec-p256"
  ca_ttl = "2m"
  default_x509_svid_ttl = "${svidLifetime}"
  default_jwt_svid_ttl = "${svidLifetime}"
  agent_ttl = "${svidLifetime}"
}
plugins {
  DataStore "sql" {
    plugin_data {
      database_type = "sqlite3"
      connection_string = "${paths.folder}/datastore.sqlite3"
    }
  }
  KeyManager "memory" { plugin_data {} }
  NodeAttestor "join_token" { plugin_data {} }
  NodeAttestor "x509pop" { plugin_data { ca_bundle_path = "${paths.caFile}" } }
}
`
}
