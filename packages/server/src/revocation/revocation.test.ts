import { parseJwt } from '@countersign/tokens'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { startTestServer, type TestClient, type TestServer } from '../server.fixture.ts'
import { describeStores, freshDatabase } from '../storage/stores.fixture.ts'
import { readFeed } from './feed.ts'
import { revokeClientTokens, revokeToken } from './revoke.ts'

let server: TestServer
let owner: TestClient
let stranger: TestClient

beforeAll(async () => {
  server = await startTestServer()
  owner = await server.addClient('svc-owner')
  stranger = await server.addClient('svc-stranger')
})
afterAll(() => server.close())

const revoke = (token: string, client: TestClient, more = {}) =>
  server.post('/oauth/revoke', { token, ...more }, client)
const isActive = async (token: string) => (await server.post('/oauth/introspect', { token }, owner)).json.active

async function events(type: string) {
  const rows = await server.authority.store.database
    .selectFrom('audit_events')
    .select('event')
    .where('type', '=', type)
    .execute()
  return rows.map(({ event }) => JSON.parse(event))
}

it('revokes an own token: introspection refuses it at once, and the memory that guards of this process read too', async () => {
  const token = await server.token(owner)
  const other = await server.token(owner)
  const answer = await revoke(token, owner)
  expect([answer.status, answer.text, answer.headers.get('cache-control')]).toEqual([200, '', 'no-store'])
  expect(await isActive(token)).toBe(false)
  expect(await isActive(other)).toBe(true)
  const { claims, header } = parseJwt(token)
  const revocable = { jti: claims.jti as string, client_id: 'svc-owner', iat: claims.iat as number, kid: header.kid }
  expect(server.authority.revocations.isRevoked(revocable)).toBe(true)
  expect((await events('token.revoked')).at(-1)).toMatchObject({
    client_id: 'svc-owner',
    jti: claims.jti,
    address: '127.0.0.1',
  })
})

it('gives a client whose tokens were revoked this very second one that is alive', async () => {
  const token = await server.token(owner)
  await revokeClientTokens(owner.id, server.authority, {})
  const next = await server.token(owner)
  expect([await isActive(token), await isActive(next)]).toEqual([false, true])
})

it('revokes in spite of a wrong hint (RFC 7009 section 2.1)', async () => {
  for (const token_type_hint of ['refresh_token', 'nonsense', 'access_token']) {
    const token = await server.token(owner)
    expect((await revoke(token, owner, { token_type_hint })).status).toBe(200)
    expect(await isActive(token)).toBe(false)
  }
})

it('answers 200 for what is no token of ours (RFC 7009 section 2.2), and for the same one twice, with one row', async () => {
  const before = (await events('token.revoked')).length
  const token = await server.token(owner)
  for (const text of ['nonsense', 'a.b.c', `${token}x`]) expect((await revoke(text, owner)).status).toBe(200)
  expect(await isActive(token)).toBe(true)
  for (let round = 0; round < 3; round += 1) expect((await revoke(token, owner)).status).toBe(200)
  expect((await events('token.revoked')).length).toBe(before + 1)
})

it("refuses to revoke another client's token, which stays active", async () => {
  const token = await server.token(owner)
  const answer = await revoke(token, stranger)
  expect([answer.status, answer.json.error]).toEqual([400, 'invalid_grant'])
  expect(await isActive(token)).toBe(true)
  expect((await events('revocation.refused')).at(-1)).toMatchObject({ client_id: 'svc-stranger', outcome: 'failure' })
})

it('revokes nothing for who does not prove itself, and wants a token', async () => {
  const token = await server.token(owner)
  expect((await revoke(token, { ...owner, secret: 'wrong' })).status).toBe(401)
  expect((await server.post('/oauth/revoke', { token })).status).toBe(401)
  expect(await isActive(token)).toBe(true)
  expect((await server.post('/oauth/revoke', {}, owner)).json.error).toBe('invalid_request')
})

it('revokes the same token once when many ask at once', async () => {
  const token = await server.token(owner)
  const answers = await Promise.all(Array.from({ length: 20 }, () => revoke(token, owner)))
  expect(answers.map(({ status }) => status)).toEqual(Array(20).fill(200))
  expect(await isActive(token)).toBe(false)
  const rows = await server.authority.store.database
    .selectFrom('revocations')
    .selectAll()
    .where('jti', '=', parseJwt(token).claims.jti as string)
    .execute()
  expect(rows).toHaveLength(1)
})

it('keeps what was revoked over a restart', async () => {
  const token = await server.token(owner)
  await revoke(token, owner)
  const again = await startTestServer({
    databaseUrl: server.databaseUrl,
    masterKey: server.masterKey,
    issuer: server.issuer,
  })
  try {
    expect((await again.post('/oauth/introspect', { token }, owner)).json).toEqual({ active: false })
    const { claims } = parseJwt(token)
    expect(again.authority.revocations.isRevoked({ jti: claims.jti as string, client_id: 'svc-owner', iat: 1 })).toBe(
      true,
    )
  } finally {
    await again.close()
  }
})

describeStores('a revocation with a wrong audience or end', (kind) => {
  it.each([
    ['for another API', { audience: 'https://nobody.example.com' }],
    ['that has ended already', { expiresAt: 1 }],
  ])('%s keeps nobody from revoking the token for all', async (_what, wrong) => {
    const fresh = await freshDatabase(kind)
    const one = await startTestServer({ databaseUrl: fresh.url })
    try {
      const client = await one.addClient('svc')
      for (const right of ['own', 'admin']) {
        const token = await one.token(client)
        const { jti, exp, aud } = parseJwt(token).claims as { jti: string; exp: number; aud: string }
        const named = { jti, expiresAt: exp, audience: aud }
        await revokeToken({ ...named, ...wrong }, one.authority, {})
        if (right === 'own') await one.post('/oauth/revoke', { token }, client)
        else await revokeToken(named, one.authority, {})
        const options = { cursor: undefined, limit: 100, now: one.authority.now() }
        const { items } = await readFeed(one.authority.store, { audiences: [aud] }, options)
        expect(items.filter((item) => 'jti' in item && item.jti === jti)).toMatchObject([{ exp }])
      }
    } finally {
      await one.close()
      await fresh.drop()
    }
  })
})
