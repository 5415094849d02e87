import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readFile, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { freePort } from '../../server/src/free-port.fixture.ts'
import { main, nodeFlags, type Ran, runCli } from './cli.fixture.ts'

interface Summary {
  issuer: string
  admin: { client_id: string; client_secret: string }
  agent: { socket: string; trust_domain: string; spiffe_id: string }
}

let folder: string
let port: number
let playground: ChildProcess
let summary: Summary

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'countersign-agent-'))
  port = await freePort()
  await start()
})
afterAll(async () => {
  await stop()
  await rm(folder, { recursive: true, force: true })
})

it('prints where the Workload API is, and who this user is', () => {
  expect(summary.agent).toEqual({
    socket: `unix://${folder}/agent.sock`,
    trust_domain: 'playground.internal',
    spiffe_id: 'spiffe://playground.internal/you',
  })
})

it('has exactly one entry, which matches the own uid', async () => {
  const { items } = (await run('workload list --json')).json
  expect(items).toHaveLength(1)
  expect(items[0]).toMatchObject({ spiffe_id: summary.agent.spiffe_id, selectors: [`unix:uid:${process.getuid!()}`] })
})

it('gives this process its certificate, and writes it to files when asked', async () => {
  const files = join(folder, 'identity')
  const fetched = await run(`svid fetch x509 --json --write ${files}`)
  expect(fetched.json.items).toMatchObject([{ spiffe_id: summary.agent.spiffe_id }])
  expect((await stat(join(files, 'svid.key'))).mode & 0o777).toBe(0o600)
  expect(await readFile(join(files, 'svid.pem'), 'utf8')).toMatch(/^-----BEGIN CERTIFICATE-----/)
  expect(await readFile(join(files, 'bundle.pem'), 'utf8')).toMatch(/^-----BEGIN CERTIFICATE-----/)
  expect(fetched.stdout).not.toContain('PRIVATE KEY')
})

it('gives a JWT-SVID on stdout alone, for a shell variable', async () => {
  const { stdout, stderr } = await run('svid fetch jwt --audience https://orders.example.com')
  expect(stdout).toMatch(/^eyJ[\w-]+\.[\w-]+\.[\w-]+\n$/)
  expect(stderr).toContain('spiffe://playground.internal/you for https://orders.example.com, until ')
})

it('explains to its user which entry fits a process and which does not', async () => {
  const parent = (await run('workload list --json')).json.items[0].parent_id
  const create = `workload create --spiffe-id spiffe://playground.internal/other --parent-id ${parent}`
  const other = await run(`${create} --selector unix:uid:${process.getuid!()} --selector unix:path:/none --json`)
  const explain = `workload explain ${process.pid} --agent ${folder}/agent-admin.sock`
  const text = await untilStdout(explain, '/none')
  // A server that has been away for hours shows here.
  expect(text).toMatch(/\nEntries of this node +spiffe:.*\nas the server had them at \d{4}-\d\d-\d\dT[\d:]+Z\n/)
  expect(text).toMatch(/✓ spiffe:\/\/playground.internal\/you /)
  expect(text).toMatch(/✗ spiffe:\/\/playground.internal\/other .*\n +not seen: unix:path:\/none/)
  await run(
    `workload update ${other.json.id} --selector unix:uid:${process.getuid!()} --binary-sha256 ${'0'.repeat(64)}`,
  )
  expect(await untilStdout(explain, 'policy:')).toMatch(/✗ spiffe:\/\/playground.internal\/other .*\n +policy: .*sha/i)
  await run('svid fetch x509')
  expect(await untilStdout('audit search --type svid.refused', '/other')).toMatch(
    /FAIL +svid\.refused .* entry\/\S+ +spiffe:\/\/playground\.internal\/other +its binary/,
  )
  await run(`workload delete ${other.json.id}`)
})

it('warns of a trust domain whose bundle no workload can get yet', async () => {
  const parent = (await run('workload list --json')).json.items[0].parent_id
  const create = `workload create --spiffe-id spiffe://playground.internal/far --parent-id ${parent} --selector unix:uid:4242`
  const made = await run(`${create} --federates-with far.example --json`)
  expect(made).toMatchObject({ code: 0, json: { federates_with: ['far.example'] } })
  expect(made.stderr).toMatch(/^warning: the server federates with no far\.example yet, .*countersign bundle set/)
  await run(`workload delete ${made.json.id}`)
})

it('says of a process that is gone, and of an agent that is not there, what to do', async () => {
  const gone = await run(`workload explain 999999999 --agent ${folder}/agent-admin.sock`)
  expect(gone.code).toBe(1)
  expect(gone.stderr).toMatch(/^error: the agent at .* says: there is no such process/)
  const nobody = await run(`workload explain 1 --agent ${folder}/nobody.sock`)
  expect(nobody.stderr).toBe(
    `error: no agent listens at ${folder}/nobody.sock; is it running? If so, name the admin socket of the agent with --agent SOCKET\n`,
  )
})

it('says of a socket that is not there what is wrong with it, in one sentence', async () => {
  const { code, stderr } = await run(`svid fetch x509 --socket unix://${folder}/none.sock`)
  expect(code).toBe(1)
  expect(stderr).toBe(
    `error: no answer from the Workload API at unix:${folder}/none.sock: there is no such socket; ` +
      'is the agent running, and is this the socket that it serves?\n',
  )
})

it('says nothing on stderr to a user who is not root', async () => {
  const own = await mkdtemp(join(tmpdir(), 'countersign-agent-'))
  const words = [...nodeFlags, main, 'dev', '--with-agent', '--port', String(await freePort()), '--data-dir', own]
  // What root may and others may not; as another user the sources might not be readable.
  const unprivileged = process.getuid!() === 0 ? ['setpriv', '--bounding-set=-sys_ptrace'] : []
  const [command = '', ...args] = [...unprivileged, process.execPath, ...words]
  const started = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'] })
  let said = ''
  started.stderr.on('data', (text) => {
    said += text
  })
  for await (const line of createInterface({ input: started.stdout })) if (line.startsWith('Ctrl-C')) break
  started.kill('SIGTERM')
  await once(started, 'exit')
  await rm(own, { recursive: true })
  expect(said).toBe('')
})

it('is the same node with the same entry after a restart', async () => {
  const before = (await run('workload list --json')).json.items
  await stop()
  await start()
  expect((await run('workload list --json')).json.items).toEqual(before)
  expect((await run('node list --json')).json.items).toHaveLength(1)
  expect((await run('svid fetch x509 --json')).json.items).toHaveLength(1)
})

function run(command: string): Promise<Ran> {
  return runCli(command.split(' '), {
    env: {
      COUNTERSIGN_URL: summary.issuer,
      COUNTERSIGN_CLIENT_ID: summary.admin.client_id,
      COUNTERSIGN_CLIENT_SECRET: summary.admin.client_secret,
      SPIFFE_ENDPOINT_SOCKET: summary.agent.socket,
    },
  })
}

/** Agents hear of a change within seconds. */
async function untilStdout(command: string, text: string): Promise<string> {
  for (;;) {
    const { stdout } = await run(command)
    if (stdout.includes(text)) return stdout
  }
}

async function start(): Promise<void> {
  playground = spawn(
    process.execPath,
    [...nodeFlags, main, 'dev', '--json', '--with-agent', '--port', String(port), '--data-dir', folder],
    { stdio: ['ignore', 'pipe', 'inherit'] },
  )
  for await (const line of createInterface({ input: playground.stdout! })) {
    if (!line.startsWith('{')) continue
    summary = JSON.parse(line)
    return
  }
  throw new Error('the playground ended before it was ready')
}

async function stop(): Promise<void> {
  if (playground.exitCode !== null) return
  playground.kill('SIGTERM')
  await once(playground, 'exit')
}
