import { type ChildProcess, spawn } from 'node:child_process'
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { MissingRuntime } from '../missing-runtime.ts'
import { askProgram, runProgram } from '../program.ts'
import { until } from '../until.ts'

export interface SpireAgent {
  /** What a process of this user is given now: SPIFFE IDs, certificates and bundles in base64 */
  fetch(): Promise<FetchedSvid[]>
  fetchJwt(audience: string): Promise<{ spiffe_id: string; svid: string }[]>
  /** What its ValidateJWTSVID says of a token */
  validateJwt(audience: string, svid: string): Promise<string>
  /** Resolves to what it said when it has ended by itself */
  ended: Promise<string>
  stop(): Promise<void>
  /** Ends it, and starts it again with what it has kept on disk */
  restart(): Promise<void>
  /** Takes away what it kept */
  remove(): void
}

export interface FetchedSvid {
  spiffe_id: string
  x509_svid: string
  x509_svid_key: string
  bundle: string
}

export interface SpireAgentOptions {
  server: { host: string; port: number }
  node: { joinToken: string } | { certificateFile: string; keyFile: string }
  /** PEM; without it the server is believed by its ID alone */
  bundleFile?: string
}

/** @throws MissingRuntime when there is no spire-agent on PATH */
export async function findSpireAgent(): Promise<string> {
  const { status, stderr } = await runProgram('spire-agent', ['--version'])
  if (status !== 0) throw new MissingRuntime(`put a spire-agent on PATH (${stderr.trim()})`, { isOptional: true })
  return 'spire-agent'
}

/** SPIRE's agent as it is, asking for news each second; resolves when its Workload API answers. */
export async function startSpireAgent(program: string, options: SpireAgentOptions): Promise<SpireAgent> {
  const folder = mkdtempSync(join(tmpdir(), 'spire-agent-'))
  chmodSync(folder, 0o755)
  const socket = join(folder, 'api.sock')
  const file = join(folder, 'agent.conf')
  writeFileSync(file, configuration(options, folder, socket))
  const token = 'joinToken' in options.node ? ['-joinToken', options.node.joinToken] : []
  let child: ChildProcess
  let ended: Promise<string>

  async function start(args: readonly string[]): Promise<void> {
    child = spawn(program, ['run', '-config', file, ...args], { stdio: ['ignore', 'pipe', 'pipe'] })
    let output = ''
    for (const stream of [child.stdout, child.stderr])
      stream?.setEncoding('utf8').on('data', (text) => (output += text))
    ended = new Promise((resolve) => child.once('close', () => resolve(output)))
    const isHealthy = async () => (await runProgram(program, ['healthcheck', '-socketPath', socket])).status === 0
    const stop = () => (child.exitCode === null ? undefined : 'it has ended')
    await until(isHealthy, { milliseconds: 60_000, stop }).catch((cause) => {
      child.kill('SIGKILL')
      throw new Error(`spire-agent does not start: ${output.slice(-3_000)}`, { cause })
    })
  }
  async function stop(): Promise<void> {
    child.kill('SIGTERM')
    await ended
  }

  await start(token)
  return {
    async fetch() {
      const { svids } = await askProgram(
        program,
        ['api', 'fetch', 'x509', '-output', 'json', '-socketPath', socket],
        {},
      )
      return svids
    },
    async fetchJwt(audience) {
      const args = ['api', 'fetch', 'jwt', '-audience', audience, '-output', 'json', '-socketPath', socket]
      const [{ svids }] = await askProgram(program, args, {})
      return svids
    },
    async validateJwt(audience, svid) {
      const args = ['api', 'validate', 'jwt', '-audience', audience, '-svid', svid, '-socketPath', socket]
      const { status, stdout, stderr } = await runProgram(program, args)
      if (status !== 0) throw new Error(stdout + stderr)
      return stdout
    },
    get ended() {
      return ended
    },
    stop,
    async restart() {
      await stop()
      await start([])
    },
    remove: () => rmSync(folder, { recursive: true, force: true }),
  }
}

function configuration({ server, node, bundleFile }: SpireAgentOptions, folder: string, socket: string): string {
  const trust = bundleFile
    ? `trust_bundle_path = "${bundleFile}"\n  trust_bundle_format = "pem"`
    : 'insecure_bootstrap = true'
  const attestor =
    'joinToken' in node
      ? 'NodeAttestor "join_token" { plugin_data {} }'
      : `NodeAttestor "x509pop" { plugin_data { private_key_path = "${node.keyFile}" certificate_path = "${node.certificateFile}" } }`
  return `agent {
  data_dir = "${folder}"
  log_level = "DEBUG"
  server_address = "${server.host}"
  server_port = "${server.port}"
  socket_path = "${socket}"
  trust_domain = "example.org"
  ${trust}
  experimental { sync_interval = "1s" }
}
plugins {
  ${attestor}
  KeyManager "disk" { plugin_data { directory = "${folder}" } }
  WorkloadAttestor "unix" { plugin_data {} }
}
`
}
