import { spawn } from 'node:child_process'
import { statSync } from 'node:fs'
import { request } from 'node:http'
import { join } from 'node:path'
import { describe, expect, it, onTestFinished } from 'vitest'
import { me, testAgent, testFolder, testServer, until } from '../agent.fixture.ts'
import { fakeEntry } from '../spire-server.fixture.ts'

async function running() {
  const server = await testServer()
  server.entries = [
    fakeEntry('/far', ['unix:uid:4242', 'unix:user:nobody-here']),
    fakeEntry('/mine', [me]),
    fakeEntry('/unapproved', [me], {
      policy: { binarySha256: ['0'.repeat(64)], notRoot: false, nodeAttestedWithinSeconds: 0 },
    }),
    fakeEntry('/near', [me, 'unix:uid:4242']),
  ]
  const adminSocket = join(testFolder(), 'admin.sock')
  const started = testAgent(server, { adminSocket, syncIntervalSeconds: 0.1 })
  await started.agent.start()
  await started.agent.ready
  return { server, adminSocket, ...started }
}

describe('the admin socket', () => {
  it("is the own user's alone", async () => {
    const { adminSocket, socket } = await running()
    expect(statSync(adminSocket).mode & 0o777).toBe(0o600)
    expect(statSync(socket).mode & 0o777).toBe(0o777)
  })

  it('tells how the agent is', async () => {
    const { adminSocket, server } = await running()
    const { status, body } = await get(adminSocket, '/v1/status')
    expect(status).toBe(200)
    expect(body).toMatchObject({ trust_domain: 'example.test', server: server.address, entries: 4, workloads: 0 })
    expect(body.spiffe_id).toMatch(/^spiffe:\/\/example\.test\/spire\/agent\/join_token\//)
    expect(body.last_sync).toBeGreaterThan(Date.now() / 1000 - 60)
    expect(body.expires_at).toBeGreaterThan(Date.now() / 1000)
  })

  it('explains which entries a process matches, and why it does not match the others, the nearest first', async () => {
    const { adminSocket } = await running()
    const { status, body } = await get(adminSocket, `/v1/explain/${process.pid}`)
    expect(status).toBe(200)
    expect(body).toMatchObject({ pid: process.pid, uid: process.getuid?.(), gid: process.getgid?.() })
    expect(body.path).toBe(process.execPath)
    expect(body.selectors).toContain(me)
    expect(
      body.entries.map((entry: { spiffe_id: string }) => entry.spiffe_id.slice('spiffe://example.test'.length)),
    ).toEqual(['/mine', '/unapproved', '/near', '/far'])
    expect(body.entries[0]).toMatchObject({ id: 'mine', matched: true, missing_selectors: [], policy_failures: [] })
    expect(body.entries[1].matched).toBe(false)
    expect(body.entries[1].policy_failures[0]).toContain('not among the approved')
    expect(body.entries[2]).toMatchObject({ matched: false, missing_selectors: ['unix:uid:4242'] })
  })

  it('says what the server said of an entry that it does not sign for', async () => {
    const { adminSocket, server } = await running()
    server.unsigned.add('late')
    server.entries = [fakeEntry('/late', [me])]
    await until(() => server.batches.length > 1)
    let problem: string | null = null
    while (problem === null) problem = (await get(adminSocket, `/v1/explain/${process.pid}`)).body.entries[0].problem
    expect(problem).toContain('not authorized')
  })

  it('knows no process that is not there', async () => {
    const { adminSocket } = await running()
    const child = spawn('true')
    onTestFinished(() => {
      child.kill()
    })
    await new Promise((resolve) => child.once('close', resolve))
    const { status, body } = await get(adminSocket, `/v1/explain/${child.pid}`)
    expect(status).toBe(404)
    expect(body.title).toContain('cannot be looked at')
  })

  it('answers nothing else', async () => {
    const { adminSocket } = await running()
    expect((await get(adminSocket, '/')).status).toBe(404)
    expect((await get(adminSocket, '/v1/explain/0x1')).status).toBe(404)
    expect((await get(adminSocket, '/v1/explain/99999999999999')).status).toBe(404)
    expect((await get(adminSocket, '/v1/status', 'POST')).status).toBe(405)
  })
})

// biome-ignore lint/suspicious/noExplicitAny: a test looks into what came
function get(socketPath: string, path: string, method = 'GET'): Promise<{ status: number; body: any }> {
  return new Promise((resolve, reject) => {
    request({ socketPath, path, method }, (response) => {
      let text = ''
      response.setEncoding('utf8').on('data', (chunk) => (text += chunk))
      response.on('end', () => resolve({ status: response.statusCode ?? 0, body: JSON.parse(text) }))
    })
      .on('error', reject)
      .end()
  })
}
