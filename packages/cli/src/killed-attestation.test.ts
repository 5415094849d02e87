import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { toPem } from '@countersign/spiffe'
import { createTestAuthority } from '@countersign/spiffe/testing'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { freePort } from '../../server/src/free-port.fixture.ts'
import { generateMasterKey } from '../../server/src/sealing/master-key.ts'
import { openStore } from '../../server/src/storage/open.ts'
import { main, nodeFlags } from './cli.fixture.ts'

/** Servers and agents that are killed in the middle of an attestation: real processes, on SQLite. */
const serverProgram = fileURLToPath(
  new URL('../../server/src/node-api/node-server-process.fixture.ts', import.meta.url),
)
const masterKey = generateMasterKey()

let folder: string
let databaseUrl: string
let nodePort: number
let log: string[]
const processes = new Set<ChildProcess>()
beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'countersign-killed-attestation-'))
  databaseUrl = `sqlite:${join(folder, 'killed.db')}`
  nodePort = await freePort()
  log = []
  const authority = createTestAuthority('nodes.test')
  const { certificatePem, keyPem } = authority.certificate({ commonName: 'node-1' })
  writeFileSync(path('ca.pem'), toPem(authority.issuer.certificate.der))
  writeFileSync(path('node.pem'), certificatePem)
  writeFileSync(path('node.key'), keyPem, { mode: 0o600 })
})
afterEach(async () => {
  await Promise.all([...processes].map(kill))
  rmSync(folder, { recursive: true })
})

it('a server that dies between its commit and its answer repeats the answer to the same agent', async () => {
  await survives('commit', byToken())
  expect(await recorded('node.attested')).toBe(1)
}, 120_000)

it('a server that dies when its challenge is answered takes the node in afterwards', async () => {
  await survives('challenge answered', byCertificate())
}, 120_000)

it('an agent that dies with its server, at each of these moments, joins by the one token that it has', async () => {
  let server = await startServer('first message')
  for (const next of ['transaction', 'commit', 'bundle', undefined]) {
    const agent = startAgent(byToken())
    agent.ready.catch(() => {})
    await once(server, 'exit')
    await kill(agent.child)
    server = await startServer(next)
  }
  await startAgent(byToken()).ready
  expect(await recorded('node.attested')).toBe(1)
  expect(await recorded('node.renewed')).toBe(2)
}, 240_000)

/** The agent has to do with the credential that it was given at its start. */
async function survives(moment: string, credential: readonly string[]): Promise<void> {
  const server = await startServer(moment)
  const agent = startAgent(credential)
  await once(server, 'exit')
  await startServer()
  await agent.ready
  expect(await recorded('node.refused')).toBe(0)
}

/** How many events of this type the servers have recorded. */
async function recorded(type: string): Promise<number> {
  const store = await openStore(databaseUrl)
  const events = await store.database.selectFrom('audit_events').select('type').where('type', '=', type).execute()
  await store.close()
  return events.length
}

/** @param killedAt a moment at which it kills itself */
async function startServer(killedAt = ''): Promise<ChildProcess> {
  const child = start([serverProgram], {
    DATABASE_URL: databaseUrl,
    MASTER_KEY: masterKey,
    NODE_PORT: String(nodePort),
    NODE_CA_FILE: path('ca.pem'),
    KILLED_AT: killedAt,
  })
  const ready = JSON.parse(await said(child, '{'))
  writeFileSync(path('bundle.pem'), ready.roots)
  // That of the first one is the one that is used.
  if (!existsSync(path('token'))) writeFileSync(path('token'), ready.token)
  return child
}

const byToken = () => ['--node-join-token-file', path('token')]
const byCertificate = () => ['--node-x509pop-cert-file', path('node.pem'), '--node-x509pop-key-file', path('node.key')]

function startAgent(credential: readonly string[]): { child: ChildProcess; ready: Promise<string> } {
  const child = start([
    main,
    ...['agent', '--server', `127.0.0.1:${nodePort}`, '--trust-domain', 'example.org'],
    ...['--bootstrap-bundle-file', path('bundle.pem'), '--data-dir', path('data')],
    ...['--socket', path('agent.sock'), '--admin-socket', path('admin.sock')],
    ...credential,
  ])
  return { child, ready: said(child, 'agent ready') }
}

function start(args: readonly string[], env: NodeJS.ProcessEnv = {}): ChildProcess {
  const child = spawn(process.execPath, [...nodeFlags, ...args], {
    env: { PATH: process.env.PATH, HOME: folder, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  processes.add(child)
  return child
}

/** The first line with this in it. */
function said(child: ChildProcess, text: string): Promise<string> {
  return new Promise((resolve, reject) => {
    for (const stream of [child.stdout, child.stderr])
      createInterface({ input: stream as NodeJS.ReadableStream }).on('line', (line) => {
        log.push(line)
        if (line.includes(text)) resolve(line)
      })
    child.once('exit', () => reject(new Error(`it ended:\n${log.slice(-10).join('\n')}`)))
  })
}

async function kill(child: ChildProcess): Promise<void> {
  processes.delete(child)
  if (child.exitCode !== null || child.signalCode !== null) return
  const ended = once(child, 'exit')
  child.kill('SIGKILL')
  await ended
}

const path = (name: string) => join(folder, name)
