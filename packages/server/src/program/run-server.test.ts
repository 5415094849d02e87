import { mkdtemp, rm } from 'node:fs/promises'
import { Agent, request } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setImmediate as nextTurn } from 'node:timers/promises'
import pino from 'pino'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { loadConfig } from '../config/load-config.ts'
import { freePort } from '../free-port.fixture.ts'
import { generateMasterKey } from '../sealing/master-key.ts'
import { type RunningServer, startServer } from './run-server.ts'

const adminSecret = 'a-secret-of-more-than-32-characters-for-this-test'
const running: RunningServer[] = []
let folder: string
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'countersign-run-'))
})
afterEach(async () => {
  for (const server of running.splice(0)) await server.close()
  await rm(folder, { recursive: true })
})

async function start(settings: Record<string, string> = {}, onRequest = () => {}): Promise<RunningServer> {
  const config = loadConfig({
    environment: {
      COUNTERSIGN_ISSUER: 'http://localhost/',
      COUNTERSIGN_HOST: '127.0.0.1',
      COUNTERSIGN_PORT: String(await freePort()),
      COUNTERSIGN_DATABASE_URL: `sqlite:${join(folder, 'a.db')}`,
      COUNTERSIGN_MASTER_KEY: generateMasterKey(),
      COUNTERSIGN_ADMIN_CLIENT_SECRET: adminSecret,
      ...settings,
    },
  })
  return startServer(config, pino({ level: 'silent' }), async (app) => {
    app.server.on('request', onRequest)
  })
}

function askForToken(url: string): Promise<Response> {
  const form = { grant_type: 'client_credentials', client_id: 'admin', client_secret: adminSecret }
  return fetch(`${url}/oauth/token`, { method: 'POST', body: new URLSearchParams(form) })
}

it('names a busy port and its cure', async () => {
  const port = String(await freePort())
  running.push(await start({ COUNTERSIGN_PORT: port }))
  await expect(start({ COUNTERSIGN_PORT: port, COUNTERSIGN_DATABASE_URL: `sqlite:${folder}/b.db` })).rejects.toThrow(
    `port ${port} is busy; end what listens there, or choose another one as port (COUNTERSIGN_PORT)`,
  )
})

it('is not ready any more during shutdown_delay, and still issues tokens', async () => {
  const server = await start({ COUNTERSIGN_SHUTDOWN_DELAY: '3s' })
  expect((await fetch(`${server.url}/readyz`)).status).toBe(200)
  const closed = server.close()
  const ready = await fetch(`${server.url}/readyz`)
  expect({ status: ready.status, ...((await ready.json()) as object) }).toMatchObject({ status: 503, code: 'draining' })
  const token = await askForToken(server.url)
  expect(token.status).toBe(200)
  expect(token.headers.get('connection')).toBe('close')
  await closed
  await expect(askForToken(server.url)).rejects.toThrow()
})

it('answers every request that it took while it closes', async () => {
  const taken = { count: 0, all: Promise.withResolvers<void>() }
  const server = await start({}, () => {
    taken.count += 1
    if (taken.count === 16) taken.all.resolve()
  })
  const agent = new Agent({ keepAlive: true, maxSockets: 8 })
  const statuses: number[] = []
  const ask = () =>
    new Promise<void>((resolve, reject) => {
      const form = `grant_type=client_credentials&client_id=admin&client_secret=${adminSecret}`
      const headers = { 'content-type': 'application/x-www-form-urlencoded', 'content-length': form.length }
      request(`${server.url}/oauth/token`, { method: 'POST', headers, agent }, (response) => {
        statuses.push(response.statusCode as number)
        response.resume().on('end', resolve)
      })
        .on('error', reject)
        .end(form)
    })
  await Promise.all(Array.from({ length: 8 }, ask))
  const inFlight = Promise.all(Array.from({ length: 8 }, ask))
  await taken.all.promise
  const closed = server.close()
  await inFlight
  await closed
  agent.destroy()
  expect(statuses).toEqual(Array(16).fill(200))
})

it.each([
  ['', 0],
  [', nor when the machine holds it up', 400],
])('ends under load without closing a connection on a request%s', async (_how, heldUpMilliseconds) => {
  const server = await start()
  const agent = new Agent({ keepAlive: true, maxSockets: 8 })
  const failures: string[] = []
  let answered = 0
  const ask = () =>
    new Promise<boolean>((resolve) => {
      request(`${server.url}/.well-known/jwks.json`, { agent }, (response) => {
        answered += 1
        response.resume().on('end', () => resolve(true))
      })
        .on('error', (error: NodeJS.ErrnoException) => {
          if (error.code !== 'ECONNREFUSED') failures.push(error.code ?? error.message)
          resolve(false)
        })
        .end()
    })
  const keepAsking = async () => {
    while (await ask());
  }
  const load = Promise.all(Array.from({ length: 8 }, keepAsking))
  while (answered < 100) await nextTurn()
  const closed = server.close()
  await nextTurn()
  for (const end = performance.now() + heldUpMilliseconds; performance.now() < end; );
  await closed
  await load
  agent.destroy()
  expect(failures).toEqual([])
})

it('serves metrics on a listener of their own, and nothing else there', async () => {
  const port = await freePort()
  const server = await start({ COUNTERSIGN_METRICS_PORT: String(port) })
  running.push(server)
  await askForToken(server.url)
  const metrics = await (await fetch(`http://127.0.0.1:${port}/metrics`)).text()
  expect(metrics).toContain('countersign_oauth_requests_total{endpoint="token",outcome="issued"} 1')
  expect((await fetch(`http://127.0.0.1:${port}/healthz`)).status).toBe(404)
  expect((await fetch(`${server.url}/metrics`)).status).toBe(404)
})

it('shows metrics on the main listener only to who has the token', async () => {
  const server = await start({ COUNTERSIGN_METRICS_TOKEN: 'a-token-of-16-or-more' })
  running.push(server)
  expect((await fetch(`${server.url}/metrics`)).status).toBe(401)
  const headers = { authorization: 'Bearer a-token-of-16-or-more' }
  expect((await fetch(`${server.url}/metrics`, { headers })).status).toBe(200)
})
