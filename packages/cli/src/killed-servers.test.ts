import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { verifyX509Svid } from '@countersign/spiffe'
import { createX509Source, type X509Source } from '@countersign/spiffe/workload-api'
import { createClientSecret } from '@countersign/tokens'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { freePort } from '../../server/src/free-port.fixture.ts'
import { describePostgres, type FreshDatabase, freshDatabase } from '../../server/src/storage/stores.fixture.ts'
import { main, nodeFlags, runCli } from './cli.fixture.ts'

/** Servers, agents and what stands between them: real processes, each with its own death. */
describePostgres('two servers on one database, behind one address', () => {
  const trustDomain = 'example.org'
  const processes = new Set<ChildProcess>()
  const cleanups: (() => unknown)[] = []
  let folder: string
  let database: FreshDatabase
  let servers: Server[]
  let balancer: Balancer
  let log: string[]

  beforeEach(async () => {
    folder = mkdtempSync(join(tmpdir(), 'countersign-killed-'))
    database = await freshDatabase('postgres')
    log = []
    servers = [await newServer('one'), await newServer('two')]
    balancer = await openBalancer(servers.map(({ nodePort }) => nodePort))
    // At the same moment, on an empty database.
    await Promise.all(servers.map(startServer))
  }, 60_000)
  afterEach(async () => {
    for (const cleanup of cleanups.splice(0)) cleanup()
    await Promise.all([...processes].map((child) => end(child, 'SIGKILL')))
    balancer.close()
    await database.drop()
    rmSync(folder, { recursive: true, force: true })
  })

  it('begin with one CA, and leave no workload without an SVID when they or an agent are killed', async () => {
    const { items } = await admin('ca list --json')
    expect(items.map(({ kind, status }: { kind: string; status: string }) => `${kind} ${status}`).sort()).toEqual([
      'jwt active',
      'x509 active',
    ])
    writeFileSync(join(folder, 'bundle.pem'), (await runAdmin('bundle show --format pem')).stdout)
    const agents = await Promise.all(['a', 'b', 'c'].map(startAgent))
    const workloads = agents.map(followed)
    await Promise.all(workloads.map(({ source }) => source.ready))

    for (let turn = 0; turn < 2; turn += 1) {
      const [one, other] = turn === 0 ? servers : [...servers].reverse()
      await end(one!.child!, 'SIGKILL')
      // What one begins the other ends.
      const { id } = await admin('ca prepare --kind x509 --json', other)
      await startServer(one!)
      const before = workloads.map(({ issuers }) => issuers.size)
      await expect.poll(() => runAdmin(`ca activate ${id}`, one).then(({ code }) => code), { timeout: 60_000 }).toBe(0)
      // Every workload has an SVID of the new CA.
      await expect
        .poll(() => workloads.every(({ issuers }, index) => issuers.size > before[index]!), { timeout: 60_000 })
        .toBe(true)
    }
    // With the token that it has spent, and the socket that it left behind.
    const [killed] = agents as [RunningAgent]
    await end(killed.child, 'SIGKILL')
    killed.child = await killed.start()
    expect(log.filter((line) => line.startsWith('agent a') && line.includes('stored identity'))).toHaveLength(1)
    const serial = workloads[0]!.source.svid().certificates[0]!.serialNumber
    await expect
      .poll(() => workloads[0]!.source.svid().certificates[0]!.serialNumber, { timeout: 60_000 })
      .not.toBe(serial)
    expect(
      workloads.flatMap(({ failures }) => failures),
      log.join('\n'),
    ).toEqual([])

    const banned = agents[2]!
    const ended = once(banned.child, 'exit')
    await admin(`node ban ${banned.spiffeId} --json`, servers[1])
    expect((await ended)[0]).toBe(1)
    expect(agents.slice(0, 2).map(({ child }) => child.exitCode)).toEqual([null, null])
  }, 240_000)

  interface Server {
    name: string
    port: number
    nodePort: number
    child?: ChildProcess
  }

  const secret = createClientSecret()
  const masterKey = Buffer.alloc(32, 7).toString('base64')

  async function newServer(name: string): Promise<Server> {
    return { name, port: await freePort(), nodePort: await freePort() }
  }

  async function startServer(server: Server): Promise<void> {
    const settings = {
      ISSUER: 'http://localhost:1/',
      MASTER_KEY: masterKey,
      ADMIN_CLIENT_SECRET: secret,
      DATABASE_URL: database.url,
      HOST: '127.0.0.1',
      PORT: String(server.port),
      REPLICA: server.name,
      RATE_LIMITS: 'off',
      SPIFFE_TRUST_DOMAIN: trustDomain,
      SPIFFE_NODE_HOST: '127.0.0.1',
      SPIFFE_NODE_PORT: String(server.nodePort),
      // Half of it is more than a killed agent needs to be back, also on a busy machine.
      SPIFFE_X509_SVID_TTL: '24s',
      SPIFFE_AGENT_SVID_TTL: '60s',
      SPIFFE_PUBLISH_AHEAD: '6s',
    }
    const env = Object.fromEntries(Object.entries(settings).map(([name, value]) => [`COUNTERSIGN_${name}`, value]))
    server.child = await start(['server'], env, `server ${server.name}`, 'countersign is ready')
  }

  interface RunningAgent {
    child: ChildProcess
    socket: string
    spiffeId: string
    /** Again, after its end */
    start(): Promise<ChildProcess>
  }

  async function startAgent(name: string): Promise<RunningAgent> {
    const { token, agent_id: spiffeId } = await admin('node token create --ttl 5m --json')
    await admin(
      `workload create --spiffe-id spiffe://${trustDomain}/${name} --parent-id ${spiffeId} --selector unix:uid:${process.getuid!()} --json`,
    )
    writeFileSync(join(folder, `${name}.token`), token)
    const socket = join(folder, name, 'agent.sock')
    const args = ['agent', '--server', `127.0.0.1:${balancer.port}`, '--trust-domain', trustDomain]
    args.push(
      '--bootstrap-bundle-file',
      join(folder, 'bundle.pem'),
      '--node-join-token-file',
      join(folder, `${name}.token`),
    )
    args.push(
      '--data-dir',
      join(folder, name, 'data'),
      '--socket',
      socket,
      '--admin-socket',
      join(folder, name, 'admin.sock'),
    )
    const begin = () => start(args, {}, `agent ${name}`, 'agent ready')
    return { child: await begin(), socket, spiffeId, start: begin }
  }

  /** A workload that looks at what it has all the time; an SVID that is missing, expired or untrusted is a failure. */
  function followed({ socket }: RunningAgent) {
    const source: X509Source = createX509Source({ socket: `unix://${socket}`, onError: () => {} })
    const [failures, issuers] = [[] as string[], new Set<string>()]
    const timer = setInterval(() => {
      try {
        const svid = source.svid()
        verifyX509Svid(svid.certificates, source.bundles, Math.floor(Date.now() / 1000))
        issuers.add(svid.certificates[0]!.authorityKeyId!)
      } catch (error) {
        failures.push((error as Error).message)
      }
    }, 50)
    void source.ready.then(() => failures.splice(0))
    cleanups.push(() => clearInterval(timer), source.close)
    return { source, failures, issuers }
  }

  async function admin(command: string, server?: Server) {
    const { code, json, stderr } = await runAdmin(command, server)
    if (code !== 0) throw new Error(`${command}: ${stderr}`)
    return json
  }

  function runAdmin(command: string, server = servers[0]!) {
    return runCli(command.split(' '), {
      env: {
        COUNTERSIGN_URL: `http://127.0.0.1:${server.port}`,
        COUNTERSIGN_CLIENT_ID: 'admin',
        COUNTERSIGN_CLIENT_SECRET: secret,
      },
    })
  }

  async function start(args: string[], env: NodeJS.ProcessEnv, name: string, ready: string): Promise<ChildProcess> {
    const clean = { PATH: process.env.PATH, HOME: folder, ...env }
    const child = spawn(process.execPath, [...nodeFlags, main, ...args], {
      env: clean,
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    processes.add(child)
    await new Promise<void>((resolve, reject) => {
      for (const stream of [child.stdout, child.stderr]) {
        createInterface({ input: stream }).on('line', (line) => {
          log.push(`${name}: ${line}`)
          if (line.includes(ready)) resolve()
        })
      }
      child.once('exit', (code) => reject(new Error(`${name} ended with ${code}:\n${log.slice(-5).join('\n')}`)))
    })
    return child
  }

  async function end(child: ChildProcess, signal: NodeJS.Signals): Promise<void> {
    processes.delete(child)
    if (child.exitCode !== null || child.signalCode !== null) return
    const ended = once(child, 'exit')
    child.kill(signal)
    await ended
  }
})

interface Balancer {
  port: number
  close(): void
}

/** Each connection to the next server that takes it. */
async function openBalancer(ports: readonly number[]): Promise<Balancer> {
  const sockets = new Set<Socket>()
  let turn = 0
  const listener = createServer((socket) => {
    sockets.add(socket)
    socket.on('error', () => {}).on('close', () => sockets.delete(socket))
    turn += 1
    const tryNext = (left: number) => {
      if (left === 0 || socket.destroyed) return void socket.destroy()
      const beyond = connect(ports[(turn + left) % ports.length]!, '127.0.0.1')
      beyond.once('error', () => (beyond.connecting || !beyond.pending ? socket.destroy() : tryNext(left - 1)))
      beyond.once('connect', () => {
        beyond.removeAllListeners('error').on('error', () => socket.destroy())
        socket.pipe(beyond).pipe(socket)
        socket.once('close', () => beyond.destroy())
        beyond.once('close', () => socket.destroy())
      })
    }
    tryNext(ports.length)
  }).listen(0, '127.0.0.1')
  await once(listener, 'listening')
  return {
    port: (listener.address() as AddressInfo).port,
    close() {
      listener.close()
      for (const socket of sockets) socket.destroy()
    },
  }
}
