import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { PermissionDeniedDetails_Reason as Reason } from '@countersign/spiffe/protocol/spire-types'
import { status } from '@grpc/grpc-js'
import { afterAll, afterEach, describe, expect, it } from 'vitest'
import { me, nodeOf, testAgent, testFolder, testServer, until } from '../agent.fixture.ts'
import { fakeEntry } from '../spire-server.fixture.ts'
import { fetchX509 } from '../workload-client.fixture.ts'

describe('a data directory that is lost while the agent runs', () => {
  it('is made anew with the next thing that is stored', async () => {
    const server = await testServer()
    server.lifetimes.agent = 4
    const dataDirectory = join(testFolder(), 'data')
    const first = testAgent(server, { dataDirectory, syncIntervalSeconds: 0.2 })
    await first.agent.start()
    rmSync(dataDirectory, { recursive: true })
    await until(() => server.count('renewAgent') === 1)
    await until(() => existsSync(join(dataDirectory, 'agent-identity.json')))
    expect(statSync(dataDirectory).mode & 0o777).toBe(0o700)
    await first.agent.stop()
    const second = testAgent(server, { dataDirectory })
    await second.agent.start()
    expect(second.agent.status().spiffe_id).toBe(first.agent.status().spiffe_id)
    expect(server.count('attestAgent')).toBe(1)
  })
})

describe('a data directory that another agent uses', () => {
  it('is left alone: two that renew one identity would take it from each other', async () => {
    const server = await testServer()
    const dataDirectory = testFolder()
    const first = testAgent(server, { dataDirectory })
    await first.agent.start()
    const second = testAgent(server, { dataDirectory })
    await expect(second.agent.start()).rejects.toThrow(`another agent uses the data directory ${dataDirectory}`)
    await first.agent.stop()
    const third = testAgent(server, { dataDirectory })
    await third.agent.start()
    expect(server.count('attestAgent')).toBe(1)
  })
})

const small = mountSmall()
afterEach(() => {
  if (small.path === undefined) return
  execFileSync('mount', ['-o', 'remount,rw', small.path])
  for (const name of readdirSync(small.path)) rmSync(join(small.path, name), { recursive: true })
})
afterAll(() => {
  if (small.path === undefined) return
  execFileSync('umount', ['-l', small.path])
  rmSync(small.path, { recursive: true, force: true })
})

describe.skipIf(small.path === undefined)(`a full disk under the data directory${small.why ?? ''}`, () => {
  const folder = small.path as string
  const full = join(folder, 'full')

  it('spends no join token until what it buys can be stored', async () => {
    const server = await testServer()
    fill(full)
    const { agent, logged } = testAgent(server, { dataDirectory: dataIn(folder) })
    const started = agent.start()
    await until(() => logged.some((line) => /^warn .*ENOSPC.*the join token is not spent/.test(line)))
    expect(server.joinTokens.size).toBe(1)
    rmSync(full)
    await started
    await agent.ready
    expect(server.count('attestAgent')).toBe(1)
  })

  it('ends neither renewals nor what was stored before, is told once, and caught up with when there is room', async () => {
    const server = await testServer()
    server.lifetimes.agent = 8
    const dataDirectory = dataIn(folder)
    const { agent, logged } = testAgent(server, { dataDirectory, syncIntervalSeconds: 0.2 })
    await agent.start()
    await agent.ready
    const stored = () => readFileSync(join(dataDirectory, 'agent-identity.json'), 'utf8')
    const before = stored()
    fill(full)
    await until(() => server.count('renewAgent') === 2)
    expect(server.count('attestAgent')).toBe(1)
    expect(stored()).toBe(before)
    const told = logged.filter((line) => line.startsWith('error'))
    expect(told).toHaveLength(1)
    expect(told[0]).toMatch(/cannot be stored.*ENOSPC/)
    rmSync(full)
    await until(() => stored() !== before)
    await agent.stop()
    // The one that was stored is the one in use: another would have been refused.
    const next = testAgent(server, { dataDirectory, node: { joinTokenFile: '/none' } })
    await next.agent.start()
    await next.agent.ready
    expect(next.agent.status().spiffe_id).toBe(agent.status().spiffe_id)
  })

  it('leaves no half of an identity where there is room for only half of one', async () => {
    const server = await testServer()
    server.lifetimes.agent = 4
    const dataDirectory = dataIn(folder)
    const { agent } = testAgent(server, { dataDirectory, syncIntervalSeconds: 0.2 })
    await agent.start()
    await agent.ready
    const before = readFileSync(join(dataDirectory, 'agent-identity.json'), 'utf8')
    // Many authorities, so that the bundle takes more than the page that is left.
    fill(full, 4096)
    for (let made = 0; made < 12; made += 1) server.authority.rotate()
    const synchronized = server.count('getBundle')
    await until(() => server.count('getBundle') > synchronized + 3)
    expect(readFileSync(join(dataDirectory, 'agent-identity.json'), 'utf8')).toBe(before)
    await agent.stop()
  })

  it('keeps no news of the server from workloads', async () => {
    const server = await testServer()
    server.entries = [fakeEntry('/web', [me])]
    const { agent, socket } = testAgent(server, { dataDirectory: dataIn(folder), syncIntervalSeconds: 0.1 })
    await agent.start()
    await agent.ready
    const first = await fetchX509(socket)
    fill(full)
    server.taintFirstAuthority = true
    server.authority.rotate()
    await until(() => server.batches.length > 1)
    expect((await fetchX509(socket)).svids[0]?.x509Svid).not.toEqual(first.svids[0]?.x509Svid)
  })

  it('does not keep a banned agent from ending, nor does one that nobody may write on', async () => {
    const server = await testServer()
    const { agent } = testAgent(server, { dataDirectory: dataIn(folder), syncIntervalSeconds: 0.1 })
    await agent.start()
    await agent.ready
    execFileSync('mount', ['-o', 'remount,ro', folder])
    server.failures.set('syncAuthorizedEntries', {
      code: status.PERMISSION_DENIED,
      details: 'banned',
      reason: Reason.AGENT_BANNED,
    })
    expect(await agent.removed).toMatchObject({ code: 'node_removed' })
  })

  it('is no reason for a node that can attest itself again not to start', async () => {
    const server = await testServer()
    const dataDirectory = dataIn(folder)
    execFileSync('mount', ['-o', 'remount,ro', folder])
    const { agent, logged } = testAgent(server, { dataDirectory, node: nodeOf(server) })
    await agent.start()
    await agent.ready
    expect(logged.filter((line) => line.startsWith('error') && line.includes('EROFS'))).toHaveLength(1)
  })
})

function dataIn(folder: string): string {
  const path = join(folder, 'data')
  mkdirSync(path, { mode: 0o700 })
  return path
}

/** Leaves `free` bytes, to the page. */
function fill(path: string, free = 0): void {
  try {
    for (;;) writeFileSync(path, Buffer.alloc(4096), { flag: 'a' })
  } catch {}
  if (free > 0) execFileSync('truncate', ['-s', `-${free}`, path])
}

function mountSmall(): { path?: string; why?: string } {
  if (process.getuid?.() !== 0) return { why: ' (left out: mounting a small disk needs root)' }
  const path = execFileSync('mktemp', ['-d', '-t', 'countersign-small-XXXX'], { encoding: 'utf8' }).trim()
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=512k,mode=755', 'tmpfs', path], { stdio: 'pipe' })
    return { path }
  } catch {
    rmSync(path, { recursive: true, force: true })
    return { why: ' (left out: tmpfs cannot be mounted here)' }
  }
}
