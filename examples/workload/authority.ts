import { execFile } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { mkdirSync, writeFileSync } from 'node:fs'
import { get, type IncomingMessage } from 'node:http'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { setTimeout } from 'node:timers/promises'
import { promisify } from 'node:util'
import { Program } from '../shop/program.ts'

export const trustDomain = 'shop.example'

/** An authority and the agent of this machine, as they would run for real, administered by the command line. */
export interface Authority {
  readonly issuer: string
  readonly agent: Program
  /** For SPIFFE_ENDPOINT_SOCKET */
  readonly socket: string
  /** The agent's SPIFFE ID: the parent of what runs on this machine */
  readonly node: string
  /** Runs a command as the administrator; its answer as JSON. */
  countersign<Answer>(...words: string[]): Promise<Answer>
  /** Resolves when the agent has heard of so many entries, which takes it seconds. */
  agentKnows(entries: number): Promise<void>
  stop(): Promise<void>
}

const program = new URL('../../packages/cli/src/main.ts', import.meta.url).pathname

export async function startAuthority(folder: string): Promise<Authority> {
  const [port, nodePort] = [await freePort(), await freePort()]
  const issuer = `http://localhost:${port}/`
  const adminSecret = randomBytes(32).toString('base64url')
  const authority = new Program('countersign', program, ['server'], {
    COUNTERSIGN_ISSUER: issuer,
    COUNTERSIGN_HOST: 'localhost',
    COUNTERSIGN_PORT: String(port),
    COUNTERSIGN_DATABASE_URL: `sqlite:${join(folder, 'authority.db')}`,
    COUNTERSIGN_MASTER_KEY: randomBytes(32).toString('base64'),
    COUNTERSIGN_ADMIN_CLIENT_ID: 'admin',
    COUNTERSIGN_ADMIN_CLIENT_SECRET: adminSecret,
    COUNTERSIGN_SPIFFE_TRUST_DOMAIN: trustDomain,
    COUNTERSIGN_SPIFFE_NODE_HOST: '127.0.0.1',
    COUNTERSIGN_SPIFFE_NODE_PORT: String(nodePort),
  })
  const started = [authority]
  const administrator = {
    COUNTERSIGN_URL: issuer,
    COUNTERSIGN_CLIENT_ID: 'admin',
    COUNTERSIGN_CLIENT_SECRET: adminSecret,
  }
  try {
    await answers(authority, `${issuer}readyz`)
    const { token, agent_id } = await countersign<{ token: string; agent_id: string }>('node', 'token', 'create')
    const bundle = await countersign<object>('bundle', 'show')
    const tokenFile = join(folder, 'join-token')
    const bundleFile = join(folder, 'bundle.json')
    writeFileSync(tokenFile, token, { mode: 0o600 })
    writeFileSync(bundleFile, JSON.stringify(bundle))
    const sockets = join(folder, 'agent')
    mkdirSync(sockets, { mode: 0o755 })
    const agent = new Program('agent', program, ['agent'], {
      COUNTERSIGN_AGENT_SERVER: `127.0.0.1:${nodePort}`,
      COUNTERSIGN_AGENT_TRUST_DOMAIN: trustDomain,
      COUNTERSIGN_AGENT_BOOTSTRAP_BUNDLE_FILE: bundleFile,
      COUNTERSIGN_AGENT_NODE_JOIN_TOKEN_FILE: tokenFile,
      COUNTERSIGN_AGENT_SOCKET: join(sockets, 'agent.sock'),
      COUNTERSIGN_AGENT_ADMIN_SOCKET: join(sockets, 'admin.sock'),
      COUNTERSIGN_AGENT_GRACE: '5s',
    })
    started.push(agent)
    await agent.line(({ msg }) => msg === 'agent ready')
    const agentKnows = async (entries: number) => {
      while ((await statusOf(join(sockets, 'admin.sock'))).entries < entries) await setTimeout(100)
    }
    const socket = `unix://${join(sockets, 'agent.sock')}`
    return { issuer, agent, socket, node: agent_id, countersign, agentKnows, stop }
  } catch (error) {
    await stop()
    throw error
  }

  async function countersign<Answer>(...words: string[]): Promise<Answer> {
    const { PATH = '', HOME = '' } = process.env
    const { stdout } = await promisify(execFile)(process.execPath, [...process.execArgv, program, ...words, '--json'], {
      env: { PATH, HOME, ...administrator },
    })
    return JSON.parse(stdout)
  }

  async function stop(): Promise<void> {
    for (const each of started.toReversed()) await each.stop()
  }
}

async function answers(server: Program, url: string): Promise<void> {
  for (const deadline = Date.now() + 30_000; ; await setTimeout(50)) {
    if ((await fetch(url).catch(() => undefined))?.ok) return
    if (server.hasEnded) throw new Error('the authority did not start; why, it said above')
    if (Date.now() > deadline) throw new Error('the authority is not ready after 30 seconds')
  }
}

/** What the agent tells of itself on its admin socket. */
async function statusOf(socketPath: string): Promise<{ entries: number }> {
  const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>()
  get({ socketPath, path: '/v1/status' }, resolve).on('error', reject)
  return JSON.parse(await text(await promise))
}

function freePort(): Promise<number> {
  const { promise, resolve, reject } = Promise.withResolvers<number>()
  const server = createServer()
  server.on('error', reject)
  server.listen(0, '127.0.0.1', () => {
    const { port } = server.address() as { port: number }
    server.close(() => resolve(port))
  })
  return promise
}
