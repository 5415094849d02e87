import { type ChildProcess, spawn } from 'node:child_process'
import { X509Certificate } from 'node:crypto'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { parseJwtSvidUnverified } from '@countersign/spiffe'
import { status } from '@grpc/grpc-js'
import { describe, expect, it, onTestFinished } from 'vitest'
import { me, testAgent, testServer, until } from '../agent.fixture.ts'
import { createProcessWatch } from '../process/process-watch.ts'
import { fakeEntry } from '../spire-server.fixture.ts'
import { fetchX509, header, Messages, openWorkloadClient } from '../workload-client.fixture.ts'

async function running(options: Parameters<typeof testAgent>[1] = {}) {
  const server = await testServer()
  server.entries = [fakeEntry('/web', [`unix:uid:${process.getuid?.()}`])]
  const processWatch = createProcessWatch({ pollMilliseconds: 20 })
  const started = testAgent(server, { syncIntervalSeconds: 0.1, graceSeconds: 0.3, processWatch, ...options })
  await started.agent.start()
  await started.agent.ready
  return { server, ...started }
}

describe('an identity', () => {
  it('ends with the last process that held it: key dropped, serial numbers and tokens reported', async () => {
    const { server, agent, socket } = await running()
    const one = await workload(socket, 'billing')
    const two = await workload(socket)
    expect(one.told.ids).toEqual(['spiffe://example.test/web'])
    expect(agent.status()).toMatchObject({ workloads: 2, cached_svids: 1 })
    one.child.kill('SIGKILL')
    await until(() => agent.status().workloads === 1)
    await settled(500)
    expect(server.ended).toEqual([])
    two.child.kill('SIGKILL')
    await until(() => server.ended.length === 1)
    const [report] = server.ended
    expect(report?.entryId).toBe('web')
    expect(report?.x509SerialNumbers).toHaveLength(1)
    expect(report?.x509SerialNumbers[0]).toMatch(/^[0-9a-f]+$/)
    expect(report?.jwtIds).toEqual([parseJwtSvidUnverified(one.told.tokens?.[0] as string).claims.jti])
    expect(agent.status()).toMatchObject({ workloads: 0, cached_svids: 0 })
  })

  it('goes on over a closed stream: the process lives', async () => {
    const { server, agent, socket } = await running()
    await workload(socket)
    await settled(800)
    expect(server.ended).toEqual([])
    expect(agent.status()).toMatchObject({ workloads: 1, cached_svids: 1 })
  })

  it('goes on when the workload is restarted within the grace', async () => {
    const { server, agent, socket } = await running({ graceSeconds: 5 })
    const before = await workload(socket)
    before.child.kill('SIGKILL')
    await until(() => agent.status().workloads === 0)
    // The process of this test is there already: no slow start can outlast the grace.
    await fetchX509(socket)
    await settled(5_500)
    expect(server.ended).toEqual([])
    expect(agent.status().cached_svids).toBe(1)
  })

  it('that ended begins anew, with another key and serial number, when a workload asks again', async () => {
    const { server, socket } = await running()
    const first = await workload(socket)
    first.child.kill('SIGKILL')
    await until(() => server.ended.length === 1)
    const { svids } = await fetchX509(socket)
    const serial = new X509Certificate(svids[0]?.x509Svid as Buffer).serialNumber.toLowerCase()
    expect(server.ended[0]?.x509SerialNumbers).not.toContain(serial)
  })

  it('ends at once when its entry is deleted', async () => {
    const { server, agent, socket } = await running()
    await workload(socket)
    server.entries = []
    await until(() => server.ended.length === 1)
    expect(server.ended[0]?.reason).toContain('entry')
    expect(agent.status().cached_svids).toBe(0)
  })

  it('whose end the server could not be told of is reported when it is back', async () => {
    const { server, socket, logged } = await running()
    const { child } = await workload(socket)
    server.failures.set('reportEnded', { code: status.UNAVAILABLE, details: 'not now' })
    child.kill('SIGKILL')
    await until(() => logged.some((line) => line.includes('cannot be told')))
    server.failures.clear()
    await until(() => server.ended.length === 1)
  })

  it('at a server that does not know the report ends by its expiry, and the agent asks no more', async () => {
    const { server, socket, logged } = await running()
    server.reportsKnown = false
    const first = await workload(socket)
    first.child.kill('SIGKILL')
    await until(() => logged.some((line) => line.includes('does not take reports')))
    const second = await workload(socket)
    second.child.kill('SIGKILL')
    await settled(800)
    expect(server.count('reportEnded')).toBe(1)
  })
})

describe('a policy', () => {
  it('that is not met gives no identity; the operator is told why, the workload is not', async () => {
    const { server, socket } = await running()
    server.entries = [
      policed('/approved-code', { binarySha256: ['0'.repeat(64)], notRoot: false, nodeAttestedWithinSeconds: 0 }),
      policed('/not-root', { binarySha256: [], notRoot: true, nodeAttestedWithinSeconds: 0 }),
    ]
    const before = server.count('syncAuthorizedEntries')
    await until(() => server.count('syncAuthorizedEntries') > before + 1)
    const { told } = await workload(socket)
    const root = process.getuid?.() === 0
    expect(told).toEqual(
      root ? { code: status.PERMISSION_DENIED } : { ids: ['spiffe://example.test/not-root'], tokens: [] },
    )
    await until(() => server.refused.length > 0)
    const refused = server.refused.flatMap(({ workloads }) => workloads)
    expect(refused.map(({ entryId }) => entryId)).toEqual(root ? ['approved-code', 'not-root'] : ['approved-code'])
    expect(refused[0]?.failures[0]).toMatch(/SHA-256 [0-9a-f]{64} is not among the approved/)
    expect(refused[0]?.selectors).toContain(me)
  })

  it('is met by the binary that it approves', async () => {
    const { server, socket, folder, agent } = await running({ adminSocket: undefined })
    const { createHash } = await import('node:crypto')
    const { readFileSync } = await import('node:fs')
    const hash = createHash('sha256').update(readFileSync(process.execPath)).digest('hex')
    server.entries = [
      policed('/web', {
        binarySha256: ['0'.repeat(64), hash.toUpperCase()],
        notRoot: false,
        nodeAttestedWithinSeconds: 0,
      }),
    ]
    const before = server.count('syncAuthorizedEntries')
    await until(() => server.count('syncAuthorizedEntries') > before + 1)
    expect((await workload(socket)).told.ids).toEqual(['spiffe://example.test/web'])
    expect(folder).not.toBe('')
    expect(agent.status().entries).toBe(1)
  })

  it('is reported once for a process that keeps asking', async () => {
    const { server, socket } = await running()
    server.entries = [policed('/web', { binarySha256: ['0'.repeat(64)], notRoot: false, nodeAttestedWithinSeconds: 0 })]
    const before = server.count('syncAuthorizedEntries')
    await until(() => server.count('syncAuthorizedEntries') > before + 1)
    for (let time = 0; time < 5; time++) await fetchX509(socket).catch(() => {})
    await until(() => server.refused.length > 0)
    await settled(500)
    expect(server.refused.flatMap(({ workloads }) => workloads)).toHaveLength(1)
  })

  it('is announced to the server with every call, so that it may send such entries at all', async () => {
    const { server } = await running()
    expect(server.calls.every(({ metadata }) => metadata.get('countersign-agent')[0] === '1')).toBe(true)
  })
})

describe('an agent that is told to stop', () => {
  it('ends open streams with UNAVAILABLE and is gone', async () => {
    const { agent, socket } = await running()
    const client = openWorkloadClient(socket)
    onTestFinished(() => client.close())
    const messages = new Messages(client.fetchX509Svid({}, header()))
    await messages.next()
    const started = Date.now()
    await agent.stop()
    expect(Date.now() - started).toBeLessThan(3_000)
    await expect(messages.next()).rejects.toMatchObject({ code: status.UNAVAILABLE, details: 'the agent is stopping' })
    expect(existsSync(socket)).toBe(false)
  })

  it('tells first what the server could not be told before', async () => {
    const { server, agent, socket } = await running()
    await fetchX509(socket)
    server.failures.set('reportEnded', { code: status.UNAVAILABLE, details: 'not now' })
    server.entries = []
    await until(() => server.count('reportEnded') > 0)
    server.failures.clear()
    await agent.stop()
    expect(server.ended).toHaveLength(1)
  })
})

function policed(
  path: string,
  policy: { binarySha256: string[]; notRoot: boolean; nodeAttestedWithinSeconds: number },
) {
  return fakeEntry(path, [me], { policy, revisionNumber: 1 })
}

/** A workload in a process of its own, and what it got. */
async function workload(
  socket: string,
  audience = '',
): Promise<{ child: ChildProcess; told: { ids?: string[]; tokens?: string[]; code?: number } }> {
  const program = join(import.meta.dirname, '..', 'workload-process.fixture.ts')
  const child = spawn(
    process.execPath,
    ['--conditions=source', '--disable-warning=ExperimentalWarning', program, socket, audience],
    { stdio: ['pipe', 'pipe', 'inherit'] },
  )
  onTestFinished(() => {
    child.kill('SIGKILL')
  })
  const [line] = await once(child.stdout.setEncoding('utf8'), 'data')
  return { child, told: JSON.parse(line) }
}

function settled(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds))
}
