import { once } from 'node:events'
import { get, type IncomingMessage } from 'node:http'
import { parseJwt } from '@countersign/tokens'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { adminAudience, adminScopeNames } from '../admin/admin-scopes.ts'
import { createApi } from '../apis/manage-apis.ts'
import { setGrant } from '../clients/manage-grants.ts'
import { addClientSecret, revokeClientSecret } from '../clients/manage-secrets.ts'
import {
  basic,
  readAnswer,
  startTestServer,
  type TestClient,
  type TestServer,
  testAudience,
} from '../server.fixture.ts'
import { revokeSigningKey } from '../signing-keys/lifecycle.ts'
import { announce } from '../storage/change-feed.ts'
import { pruneRevocations } from './feed.ts'
import { insertSvidRevocations, revokeClientTokens, revokeToken, type SvidToRevoke } from './revoke.ts'

let server: TestServer
let reader: TestClient
let clock = 0

beforeEach(async () => {
  clock = 0
  server = await startTestServer({
    settings: { nowMilliseconds: () => Date.now() + clock },
    app: { heartbeatMilliseconds: 100, maximumStreams: 3 },
  })
  reader = await server.addClient('svc-reader', { scopes: null })
  await server.addApi('https://other.example.com', { introspectors: ['svc-else'] })
  await server.authority.store.database
    .updateTable('apis')
    .set({ introspectors: '["svc-reader"]' })
    .where('audience', '=', testAudience)
    .execute()
})
afterEach(() => server.close())

const read = async (query = '', headers: Record<string, string> = { authorization: basic(reader) }) =>
  readAnswer(await fetch(`${server.url}/oauth/revocations${query}`, { headers }))

const later = () => server.authority.now() + 1000
const revoke = (jti: string, audience?: string) =>
  revokeToken({ jti, audience, expiresAt: later() }, server.authority, {})

async function adminToken(scopes: string[]): Promise<string> {
  const { authority } = server
  const known = await authority.store.database
    .selectFrom('apis')
    .select('id')
    .where('audience', '=', adminAudience)
    .executeTakeFirst()
  const api = { audience: adminAudience, name: 'Admin', scopes: adminScopeNames.map((name) => ({ name })) }
  const id = known?.id ?? (await createApi(api, authority, {}))
  const admin = await server.addClient(`svc-admin-${Math.random().toString(36).slice(2)}`, { scopes: null })
  await setGrant(admin.id, id, scopes, server.authority, {})
  return server.token(admin)
}

it('gives a reader the revocations of its API and those that concern all, in order, and a cursor to go on', async () => {
  await revoke('mine-1', testAudience)
  await revoke('foreign', 'https://other.example.com')
  await revokeClientTokens('svc-gone', server.authority, {})
  const kid = server.authority.keyRing.published[0]?.kid as string
  await revokeSigningKey(kid, server.authority.keys)
  const page = await read()
  expect([page.status, page.headers.get('cache-control')]).toEqual([200, 'no-store'])
  const before = expect.any(Number)
  const revision = expect.any(Number)
  expect(page.json).toEqual({
    items: [
      { revision, jti: 'mine-1', exp: expect.any(Number) },
      { revision, client_id: 'svc-gone', before },
      { revision, kid },
    ],
    next: expect.any(String),
    has_more: false,
  })
  const next = await read(`?cursor=${page.json.next}`)
  expect(next.json.items).toEqual([])
  await revoke('mine-2', testAudience)
  const last = await read(`?cursor=${next.json.next}`)
  expect(last.json.items).toMatchObject([{ jti: 'mine-2' }])
})

it('gives pages, none of which leaves out or repeats an item', async () => {
  for (let index = 0; index < 7; index += 1)
    await revoke(`t${index}`, index % 3 === 2 ? 'https://other.example.com' : testAudience)
  const seen: string[] = []
  let cursor = ''
  for (let page = 0; page < 10; page += 1) {
    const answer = await read(`?limit=2${cursor}`)
    seen.push(...answer.json.items.map(({ jti }: { jti: string }) => jti))
    cursor = `&cursor=${answer.json.next}`
    if (!answer.json.has_more) break
  }
  expect(seen).toEqual(['t0', 't1', 't3', 't4', 't6'])
})

it('puts on record who reads', async () => {
  await read()
  const row = await server.authority.store.database
    .selectFrom('audit_events')
    .select('event')
    .where('type', '=', 'revocation_feed.read')
    .orderBy('sequence', 'desc')
    .executeTakeFirstOrThrow()
  expect(JSON.parse(row.event)).toMatchObject({
    outcome: 'success',
    client_id: reader.id,
    method: 'client_secret_basic',
    credential: reader.secretId,
  })
})

it('reads all to an administrator with audit:read or clients:read, by Bearer token', async () => {
  await revoke('mine', testAudience)
  await revoke('foreign', 'https://other.example.com')
  for (const scope of ['audit:read', 'clients:read']) {
    const answer = await read('', { authorization: `Bearer ${await adminToken([scope])}` })
    expect(answer.json.items).toMatchObject([{ jti: 'mine' }, { jti: 'foreign' }])
  }
  const answer = await read('', { authorization: `Bearer ${await adminToken(['apis:read'])}` })
  expect([answer.status, answer.json.error]).toEqual([403, 'insufficient_scope'])
  expect(answer.headers.get('www-authenticate')).toContain('insufficient_scope')
})

it('takes a bound client by its token for that API, and not by one for another API that could pass it on', async () => {
  await revoke('mine', testAudience)
  const { store } = server.authority
  const api = await store.database
    .selectFrom('apis')
    .select('id')
    .where('audience', '=', testAudience)
    .executeTakeFirstOrThrow()
  const other = await store.database
    .selectFrom('apis')
    .select('id')
    .where('audience', '=', 'https://other.example.com')
    .executeTakeFirstOrThrow()
  await setGrant(reader.id, api.id, ['read:orders'], server.authority, {})
  await setGrant(reader.id, other.id, ['read:orders'], server.authority, {})
  const own = await server.token(reader, { audience: testAudience })
  expect((await read('', { authorization: `bearer ${own}` })).json.items).toMatchObject([{ jti: 'mine' }])
  const foreign = await server.token(reader, { audience: 'https://other.example.com' })
  expect((await read('', { authorization: `Bearer ${foreign}` })).status).toBe(401)
})

it('refuses everybody else: no credential, a wrong one, a revoked token, a client bound to no API', async () => {
  const none = await read('', {})
  expect([none.status, none.json.error]).toEqual([401, 'invalid_client'])
  expect(none.headers.get('www-authenticate')).toMatch(/Bearer .*Basic /)
  expect((await read('', { authorization: basic({ ...reader, secret: 'wrong' }) })).status).toBe(401)
  expect((await read('', { authorization: 'Bearer a.b.c' })).headers.get('www-authenticate')).toContain(
    'error="invalid_token"',
  )
  const unbound = await server.addClient('svc-unbound')
  expect((await read('', { authorization: basic(unbound) })).status).toBe(403)
  const token = await adminToken(['audit:read'])
  const { claims } = parseJwt(token)
  await revokeToken({ jti: claims.jti as string, expiresAt: later() }, server.authority, {})
  expect((await read('', { authorization: `Bearer ${token}` })).status).toBe(401)
  expect((await read(`?access_token=${token}`)).status).toBe(400)
})

it('does not take one client id for another that it is a pattern of', async () => {
  const similar = await server.addClient('svc_reader', { scopes: null })
  expect((await read('', { authorization: basic(similar) })).status).toBe(403)
})

it('answers 410 to a cursor of pruned times, of a restored store or of the future, and 400 to none of ours', async () => {
  const first = (await read()).json.next
  await revokeToken(
    { jti: 'short', audience: testAudience, expiresAt: server.authority.now() + 1 },
    server.authority,
    {},
  )
  clock = 2 * 3_600_000
  expect((await read()).json.items).toEqual([])
  await pruneRevocations(server.authority.store, server.authority.now())
  expect((await read(`?cursor=${first}`)).status).toBe(410)
  const fresh = (await read()).json.next as string
  expect((await read(`?cursor=${fresh}`)).status).toBe(200)
  expect((await read(`?cursor=${fresh.split('.')[0]}.999999`)).status).toBe(410)
  for (const bad of ['x', '17', "' or 1=1", `${fresh}0000000000000000`, '-1']) {
    expect((await read(`?cursor=${encodeURIComponent(bad)}`)).status, bad).toBe(400)
  }
  expect((await read(`?limit=0`)).status).toBe(400)
  // As a restore does.
  await server.authority.store.database.deleteFrom('settings').where('name', '=', 'revocation_feed_epoch').execute()
  expect((await read(`?cursor=${fresh}`)).status).toBe(410)
})

interface Stream {
  response: IncomingMessage
  text: () => string
  until: (pattern: RegExp) => Promise<string>
  close: () => void
}

async function openStream(headers: Record<string, string> = {}): Promise<Stream> {
  const request = get(`${server.url}/oauth/revocations`, {
    agent: false,
    headers: { authorization: basic(reader), accept: 'text/event-stream', ...headers },
  })
  const [response] = (await once(request, 'response')) as [IncomingMessage]
  let text = ''
  response.setEncoding('utf8').on('data', (chunk) => {
    text += chunk
  })
  response.on('error', () => {})
  return {
    response,
    text: () => text,
    close: () => request.destroy(),
    async until(pattern) {
      const end = Date.now() + 20_000
      while (!pattern.test(text)) {
        if (Date.now() > end) throw new Error(`${pattern} did not come; got ${text}`)
        await new Promise((resolve) => setTimeout(resolve, 10))
      }
      return text
    },
  }
}

it('streams what there is and what comes, with ids to go on from and heartbeats between', async () => {
  await revoke('early', testAudience)
  const stream = await openStream()
  expect(stream.response.headers['content-type']).toBe('text/event-stream')
  await stream.until(/"early"/)
  await stream.until(/: heartbeat/)
  await revoke('foreign', 'https://other.example.com')
  await revoke('live', testAudience)
  const text = await stream.until(/"live"/)
  expect(text).not.toContain('foreign')
  expect(text).toMatch(/event: revocation\nid: [0-9a-f]{12}\.\d+\ndata: \{"revision":\d+,"jti":"live","exp":\d+\}\n\n/)
  stream.close()

  const id = /id: (\S+)\ndata: [^\n]*"early"/.exec(text)?.[1] as string
  const resumed = await openStream({ 'last-event-id': id })
  expect(await resumed.until(/"live"/)).not.toContain('early')
  resumed.close()
  const old = await openStream({ 'last-event-id': `${id.split('.')[0]}.999999` })
  expect(old.response.statusCode).toBe(410)
})

it('opens a bounded number of streams, and gives the place of a closed one to the next', async () => {
  const streams = await Promise.all([openStream(), openStream(), openStream()])
  const refused = await openStream()
  expect([refused.response.statusCode, refused.response.headers['retry-after']]).toEqual([503, '10'])
  streams[0]?.close()
  const end = Date.now() + 20_000
  let status: number | undefined
  while (status !== 200 && Date.now() < end) {
    const next = await openStream()
    status = next.response.statusCode
    streams.push(next)
  }
  expect(status).toBe(200)
  for (const stream of streams) stream.close()
})

it('ends the stream of a reader who may not read any more', async () => {
  const stream = await openStream()
  await stream.until(/retry/)
  await server.authority.audit.recordChange({ type: 'client.updated', outcome: 'success' }, async (transaction) => {
    await transaction.updateTable('clients').set({ disabled: 1 }).where('id', '=', reader.id).execute()
    await announce(transaction, server.authority.store, { kind: 'client', id: reader.id, at: 0 })
  })
  await once(stream.response, 'end', { signal: AbortSignal.timeout(20_000) })
})

it('ends the stream of a reader whose secret was revoked, though another one of his is good', async () => {
  const stream = await openStream()
  await stream.until(/retry/)
  await addClientSecret(reader.id, {}, server.authority, {})
  await stream.until(/: heartbeat[\s\S]*: heartbeat/)
  await revokeClientSecret(reader.id, reader.secretId, server.authority, {})
  await once(stream.response, 'end', { signal: AbortSignal.timeout(20_000) })
})

it('is closed to an administrator from whom the scope was taken, though his token still carries it', async () => {
  const token = await adminToken(['audit:read'])
  const authorization = `Bearer ${token}`
  expect((await read('', { authorization })).status).toBe(200)
  await setGrant(parseJwt(token).claims.client_id as string, adminAudience, ['apis:read'], server.authority, {})
  expect((await read('', { authorization })).status).toBe(403)
})

it('ends its streams when the server shuts down, which therefore need not wait for them', async () => {
  const stream = await openStream()
  await stream.until(/retry/)
  const start = performance.now()
  await server.app.close()
  expect(performance.now() - start).toBeLessThan(2000)
})

it('waits at its end for no connection that a reader would have kept alive', async () => {
  const headers = { authorization: basic(reader), accept: 'text/event-stream' }
  const response = await fetch(`${server.url}/oauth/revocations`, { headers })
  const reading = response.text()
  const start = performance.now()
  await server.app.close()
  expect(performance.now() - start).toBeLessThan(2000)
  await reading
})

it('names the SVIDs of a workload that has ended: a certificate by its serial number, a JWT by its jti', async () => {
  const { authority } = server
  const expiresAt = later()
  const spiffeId = 'spiffe://example.org/billing'
  const revokeSvids = (svids: SvidToRevoke[]) =>
    authority.audit.recordChange({ type: 'svid.revoked', outcome: 'success' }, (transaction) =>
      insertSvidRevocations(transaction, svids, authority),
    )
  await revokeSvids([
    { serial: '07ab', spiffeId, expiresAt },
    { jti: 'jwt-1', spiffeId, expiresAt },
  ])
  await revokeSvids([{ serial: '07ab', spiffeId, expiresAt }])
  const revision = expect.any(Number)
  expect((await read()).json.items).toEqual([
    { revision, serial: '07ab', spiffe_id: spiffeId, exp: expiresAt },
    { revision, jti: 'jwt-1', spiffe_id: spiffeId, exp: expiresAt },
  ])
  expect(authority.revocations.isRevokedSerial('07ab')).toBe(true)
  expect(authority.revocations.isRevokedSerial('07ac')).toBe(false)
  expect(authority.revocations.isRevokedJwtSvid({ jti: 'jwt-1' })).toBe(true)
  expect(authority.revocations.isRevokedJwtSvid({ jti: 'jwt-2' })).toBe(false)
})
