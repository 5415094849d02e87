import { afterEach, expect, it } from 'vitest'
import { startTestServer, type TestServer, type TestServerOptions } from '../server.fixture.ts'
import { defaultTokenLimits } from './token-limits.ts'

let server: TestServer | undefined
afterEach(() => server?.close())

const grant = { grant_type: 'client_credentials' }

async function start(limits: Partial<typeof defaultTokenLimits>, app: TestServerOptions['app'] = {}) {
  server = await startTestServer({ app: { tokenLimits: { ...defaultTokenLimits, ...limits }, ...app } })
  return server
}

async function counted(one: TestServer): Promise<Record<string, unknown>[]> {
  const rows = await one.authority.store.database
    .selectFrom('audit_events')
    .select('event')
    .where('type', '=', 'rate_limit.exceeded')
    .execute()
  return rows.map(({ event }) => JSON.parse(event))
}

async function countedWithin(one: TestServer, milliseconds: number) {
  const end = Date.now() + milliseconds
  for (;;) {
    const rows = await counted(one)
    if (rows.length > 0 || Date.now() > end) return rows
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
}

it('answers 429 with Retry-After and RateLimit headers beyond the client limit, and counts the flood into one row', async () => {
  const one = await start({ perClient: { name: 'client', quota: 5, windowSeconds: 3600 } })
  const client = await one.addClient('svc-a')
  const statuses: number[] = []
  const begunAt = performance.now()
  for (let index = 0; index < 40; index += 1) {
    const answer = await one.post('/oauth/token', grant, client)
    statuses.push(answer.status)
    if (answer.status !== 429) continue
    expect(Number(answer.headers.get('retry-after'))).toBeGreaterThanOrEqual(1)
    expect(answer.headers.get('ratelimit')).toContain('"client"')
    expect(answer.headers.get('cache-control')).toBe('no-store')
    expect(answer.json.error).toBe('temporarily_unavailable')
  }
  expect(statuses.filter((status) => status === 200)).toHaveLength(5)
  const rows = await countedWithin(one, 20_000)
  // One a second, and a machine may be so busy that the flood takes longer.
  expect(rows.length).toBeLessThanOrEqual(2 + (performance.now() - begunAt) / 1000)
  expect(rows[0]).toMatchObject({
    address: '127.0.0.1',
    client_id: 'svc-a',
    outcome: 'failure',
    detail: { limits: ['client'] },
  })
})

it('slows guessing by failures only: a right secret passes while guesses from its address are refused', async () => {
  const one = await start({ failuresPerAddress: { name: 'failures', quota: 3, windowSeconds: 60 } })
  const client = await one.addClient('svc-a')
  const guesses: number[] = []
  for (let index = 0; index < 10; index += 1) {
    guesses.push((await one.post('/oauth/token', grant, { ...client, secret: `guess-${index}` })).status)
  }
  expect(guesses).toEqual([401, 401, 401, 429, 429, 429, 429, 429, 429, 429])
  expect((await one.post('/oauth/token', grant, client)).status).toBe(200)
  const failed = await one.authority.store.database
    .selectFrom('audit_events')
    .select('event')
    .where('type', '=', 'client_auth.failed')
    .execute()
  expect(failed).toHaveLength(3)
})

it('counts one failure limit over all OAuth endpoints', async () => {
  const one = await start({ failuresPerAddress: { name: 'failures', quota: 3, windowSeconds: 60 } })
  const client = await one.addClient('svc-a')
  const wrong = { ...client, secret: 'wrong' }
  const statuses: number[] = []
  for (const path of ['/oauth/token', '/oauth/introspect', '/oauth/revoke', '/oauth/introspect', '/oauth/revoke']) {
    statuses.push((await one.post(path, { ...grant, token: 'x' }, wrong)).status)
  }
  expect(statuses).toEqual([401, 401, 401, 429, 429])
  expect((await one.post('/oauth/introspect', { token: await one.token(client) }, client)).json.active).toBe(true)
})

it('does not let the ways to write a client id split its limit', async () => {
  const one = await start({ failuresPerAddress: { name: 'failures', quota: 4, windowSeconds: 60 } })
  await one.addClient('svc-a')
  const statuses: number[] = []
  for (const id of ['svc-a', 'SVC-A', 'svc-a ', 'svc%2Da', 'svc\u2010a', 'svc-a\0']) {
    statuses.push((await one.post('/oauth/token', { ...grant, client_id: id, client_secret: 'x' })).status)
  }
  expect(statuses).toEqual([401, 401, 401, 401, 429, 429])
})

it('does not believe X-Forwarded-For from anybody but a trusted proxy', async () => {
  const one = await start({ failuresPerAddress: { name: 'failures', quota: 2, windowSeconds: 60 } })
  const statuses: number[] = []
  for (let index = 0; index < 4; index += 1) {
    const response = await fetch(`${one.url}/oauth/token`, {
      method: 'POST',
      headers: { 'content-type': 'application/x-www-form-urlencoded', 'x-forwarded-for': `203.0.113.${index}` },
      body: 'grant_type=client_credentials&client_id=a&client_secret=b',
    })
    statuses.push(response.status)
  }
  expect(statuses).toEqual([401, 401, 429, 429])
})

it('is closed, not open, when the limiter cannot decide', async () => {
  const down = Object.assign(new Error('Redis did not do EVALSHA'), { code: 'store_unavailable' })
  const one = await start({}, { limiter: { take: () => Promise.reject(down) } })
  const client = await one.addClient('svc-a')
  const answer = await one.post('/oauth/token', grant, client)
  expect([answer.status, answer.json.error]).toEqual([503, 'temporarily_unavailable'])
  expect(answer.headers.get('retry-after')).toBe('1')
})
