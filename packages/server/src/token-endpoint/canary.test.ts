import { afterAll, beforeAll, expect, it } from 'vitest'
import { basic, startTestServer, type TestClient, type TestServer } from '../server.fixture.ts'
import { defaultTokenLimits } from './token-limits.ts'

let server: TestServer
let client: TestClient
let other: TestClient
const answers: string[] = []

beforeAll(async () => {
  server = await startTestServer({
    app: {
      tokenLimits: { ...defaultTokenLimits, failuresPerAddress: { name: 'failures', quota: 60, windowSeconds: 60 } },
    },
  })
  client = await server.addClient('svc-a')
  other = await server.addClient('svc-b')
})
afterAll(() => server.close())

async function send(path: string, init: RequestInit = {}) {
  const response = await fetch(`${server.url}${path}`, { method: 'POST', ...init })
  answers.push([...response.headers].map(([name, value]) => `${name}: ${value}`).join('\n'), await response.text())
  return response.status
}

const form = (fields: Record<string, string> | string, headers: Record<string, string> = {}) => ({
  headers: { 'content-type': 'application/x-www-form-urlencoded', ...headers },
  body: typeof fields === 'string' ? fields : new URLSearchParams(fields).toString(),
})

it('keeps a secret out of every answer, log line and audit event, wherever a client put it', async () => {
  const { secret } = client
  const grant = { grant_type: 'client_credentials' }
  const right = { authorization: basic(client) }
  const requests: RequestInit[] = [
    form({ ...grant, client_id: client.id, client_secret: secret }),
    form(grant, right),
    // The secret as what it is not.
    form({ ...grant, client_id: secret, client_secret: client.id }),
    form(grant, { authorization: basic({ id: secret, secret: client.id }) }),
    form({ ...grant, scope: secret }, right),
    form({ ...grant, audience: secret }, right),
    form({ ...grant, resource: `https://x.example/${secret}` }, right),
    form({ grant_type: secret }, right),
    form({ ...grant, [secret]: 'x' }, right),
    form(`${secret}=1&${secret}=2`, right),
    form(secret, right),
    // The right secret of the wrong client, too much of it, half of it.
    form(grant, { authorization: basic({ id: other.id, secret }) }),
    form({ ...grant, client_id: client.id, client_secret: secret + secret }),
    form({ ...grant, client_id: client.id, client_secret: secret.slice(0, -1) }),
    form({ ...grant, client_id: 'svc-nobody', client_secret: secret }),
    // Two ways at once, malformed ones, other schemes and formats.
    form({ ...grant, client_id: client.id, client_secret: secret }, right),
    form({ ...grant, client_id: client.id, client_secret: `${secret}%zz` }),
    form(`grant_type=client_credentials&client_secret=${secret}%ff&client_id=svc-a`),
    form(grant, { authorization: `Basic ${secret}` }),
    form(grant, { authorization: `Basic ${Buffer.from(secret).toString('base64')}` }),
    form(grant, { authorization: `Bearer ${secret}` }),
    form(grant, { authorization: secret }),
    form({
      ...grant,
      client_assertion: secret,
      client_assertion_type: 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer',
    }),
    form({ ...grant, client_assertion: `${secret}.${secret}.${secret}`, client_assertion_type: secret }),
    { headers: { 'content-type': 'application/json' }, body: JSON.stringify({ ...grant, client_secret: secret }) },
    { headers: { 'content-type': secret }, body: secret },
    { headers: { 'content-type': 'application/x-www-form-urlencoded' }, body: secret.repeat(2000) },
    form({ token: secret }, right),
    form({ token: secret, token_type_hint: secret }, { authorization: basic(other) }),
  ]
  for (const request of requests) {
    for (const path of ['/oauth/token', '/oauth/introspect', '/oauth/revoke']) {
      expect(await send(path, request)).toBeLessThan(500)
    }
  }
  for (const path of ['/oauth/token', '/oauth/revocations', '/healthz', '/nowhere']) {
    await send(`${path}?client_secret=${secret}`, form(grant))
    await send(`${path}?cursor=${secret}&limit=${secret}`, {
      method: 'GET',
      headers: { authorization: `Bearer ${secret}` },
    })
  }
  // A failing store, whose errors know the statement and its parameters.
  await server.authority.store.close()
  for (const request of requests) expect(await send('/oauth/token', request)).toBeLessThanOrEqual(503)

  const again = await startTestServer({
    databaseUrl: server.databaseUrl,
    masterKey: server.masterKey,
    issuer: server.issuer,
  })
  const tables = [
    'audit_events',
    'clients',
    'client_secrets',
    'settings',
    'changes',
    'revocations',
    'used_assertions',
  ] as const
  const stored = await Promise.all(
    tables.map((table) => again.authority.store.database.selectFrom(table).selectAll().execute()),
  )
  await again.close()
  const traces = { answers: answers.join('\n'), log: server.log.join('\n'), store: JSON.stringify(stored) }
  const encoded = [client, { id: other.id, secret }].map((who) => basic(who).slice('Basic '.length))
  for (const [where, text] of Object.entries(traces)) {
    for (const canary of [secret, secret.slice(10), ...encoded]) {
      expect(
        text.includes(canary),
        `${where} holds ${canary.slice(0, 12)}...: ${text.slice(Math.max(0, text.indexOf(canary) - 200), text.indexOf(canary))}`,
      ).toBe(false)
    }
  }
  expect(traces.store).toContain('[redacted]')
}, 60_000)
