import { createSigner, generateSigningKey, parseJwt } from '@countersign/tokens'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { insertClientRevocation, revokeClientTokens } from '../revocation/revoke.ts'
import { startTestServer, type TestClient, type TestServer, testAudience } from '../server.fixture.ts'
import { revokeSigningKey } from '../signing-keys/lifecycle.ts'
import { announce } from '../storage/change-feed.ts'

let server: TestServer
let owner: TestClient
let stranger: TestClient
let clock = 0

beforeAll(async () => {
  server = await startTestServer({ settings: { nowMilliseconds: () => Date.now() + clock } })
  owner = await server.addClient('svc-owner')
  stranger = await server.addClient('svc-stranger')
})
afterAll(() => server.close())

const introspect = (token: string, client: TestClient, more = {}) =>
  server.post('/oauth/introspect', { token, ...more }, client)

async function lastEvent(type: string) {
  const row = await server.authority.store.database
    .selectFrom('audit_events')
    .select('event')
    .where('type', '=', type)
    .orderBy('sequence', 'desc')
    .executeTakeFirst()
  return row && JSON.parse(row.event)
}

it("tells a token's own client all that RFC 7662 section 2.2 has a member for", async () => {
  const token = await server.token(owner)
  const answer = await introspect(token, owner)
  const { claims } = parseJwt(token)
  expect(answer.status).toBe(200)
  expect(answer.headers.get('cache-control')).toBe('no-store')
  expect(answer.json).toEqual({ active: true, token_type: 'Bearer', ...claims })
})

it('puts every answer on record, with who asked, by which secret, about which token', async () => {
  const token = await server.token(owner)
  await introspect(token, owner)
  const told = { client_id: 'svc-owner', method: 'client_secret_basic', credential: owner.secretId }
  expect(await lastEvent('token.introspected')).toMatchObject({
    ...told,
    outcome: 'success',
    audience: testAudience,
    jti: parseJwt(token).claims.jti,
    detail: { active: true },
  })
  await introspect('not a token', owner)
  expect(await lastEvent('token.introspected')).toMatchObject({ ...told, detail: { active: false } })
})

it('takes a wrong hint and both ways to send a secret', async () => {
  const token = await server.token(owner)
  expect((await introspect(token, owner, { token_type_hint: 'refresh_token' })).json.active).toBe(true)
  const post = await server.post('/oauth/introspect', { token, client_id: owner.id, client_secret: owner.secret })
  expect(post.json.active).toBe(true)
})

it('tells another client nothing of a token, and the operator that it asked', async () => {
  const token = await server.token(owner)
  const answer = await introspect(token, stranger)
  expect([answer.status, answer.text]).toEqual([200, '{"active":false}'])
  expect(await lastEvent('introspection.refused')).toMatchObject({
    client_id: 'svc-stranger',
    audience: testAudience,
    jti: parseJwt(token).claims.jti,
  })
})

it('tells the clients that the API names as introspectors, of its tokens only', async () => {
  const introspector = await server.addClient('svc-resource', { scopes: null })
  const api = await server.addApi('https://named.example.com', { introspectors: [introspector.id] })
  const caller = await server.addClient('svc-caller', { apiId: api })
  expect((await introspect(await server.token(caller), introspector)).json.active).toBe(true)
  expect((await introspect(await server.token(owner), introspector)).json).toEqual({ active: false })
})

it('refuses who does not prove itself, whatever the token, and a request without one', async () => {
  const token = await server.token(owner)
  expect((await introspect(token, { ...owner, secret: 'cs_secret_wrong' })).status).toBe(401)
  expect((await server.post('/oauth/introspect', { token })).status).toBe(401)
  const empty = await server.post('/oauth/introspect', {}, owner)
  expect([empty.status, empty.json.error]).toEqual([400, 'invalid_request'])
})

it('finds everything else inactive: garbage, altered, foreign, unsigned, of another type or issuer', async () => {
  const token = await server.token(owner)
  const [header, payload, signature] = token.split('.') as [string, string, string]
  const encode = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url')
  const { claims, header: own } = parseJwt(token)
  const foreign = await generateSigningKey('ES256')
  const forged = createSigner({ algorithm: 'ES256', kid: own.kid, key: foreign.privateKey, type: 'at+jwt' })
  const bad = [
    'x',
    'a.b.c',
    `${token}.`,
    ` ${token}`,
    `${header}.${encode({ ...claims, scope: 'admin' })}.${signature}`,
    `${encode({ alg: 'none', typ: 'at+jwt' })}.${payload}.`,
    `${encode({ ...own, kid: '../../etc/passwd' })}.${payload}.${signature}`,
    `${encode({ ...own, kid: "' or 1=1 --" })}.${payload}.${signature}`,
    `${encode({ ...own, kid: '__proto__' })}.${payload}.${signature}`,
    `${encode({ ...own, typ: 'JWT' })}.${payload}.${signature}`,
    forged.sign(claims),
    server.authority.keyRing.signerFor('ES256').sign({ ...claims, iss: 'https://evil.example.com' }),
    server.authority.keyRing.signerFor('ES256').sign({ ...claims, exp: 1 }),
    server.authority.keyRing.signerFor('ES256').sign({ ...claims, aud: ['https://a.example', testAudience] }),
    'x'.repeat(20_000),
  ]
  for (const one of bad) expect((await introspect(one, owner)).text, one.slice(0, 80)).toBe('{"active":false}')
  expect((await introspect(token, owner)).json.active).toBe(true)
})

it('finds a token inactive from the second it expires', async () => {
  const token = await server.token(owner)
  clock = 3_598_000
  expect((await introspect(token, owner)).json.active).toBe(true)
  clock = 3_601_000
  expect((await introspect(token, owner)).json.active).toBe(false)
  clock = 0
})

it('finds the tokens of a disabled and of a deleted client inactive at once', async () => {
  const api = await server.addApi('https://watch.example.com', { introspectors: [stranger.id] })
  const watched = await server.addClient('svc-watched', { apiId: api })
  const token = await server.token(watched)
  const { store, audit, now } = server.authority
  const change = (sql: 'disable' | 'enable' | 'delete') =>
    audit.recordChange({ type: 'client.updated', outcome: 'success' }, async (transaction) => {
      if (sql === 'delete') await transaction.deleteFrom('clients').where('id', '=', watched.id).execute()
      else
        await transaction
          .updateTable('clients')
          .set({ disabled: sql === 'disable' ? 1 : 0 })
          .where('id', '=', watched.id)
          .execute()
      await announce(transaction, store, { kind: 'client', id: watched.id, at: now() })
    })
  expect((await introspect(token, stranger)).json.active).toBe(true)
  await change('disable')
  expect((await introspect(token, stranger)).json.active).toBe(false)
  await change('enable')
  expect((await introspect(token, stranger)).json.active).toBe(true)
  await change('delete')
  expect((await introspect(token, stranger)).json.active).toBe(false)
})

it('finds all that a client had inactive once its tokens are revoked, and what it gets later active', async () => {
  const token = await server.token(stranger)
  await revokeClientTokens(stranger.id, server.authority, { client_id: 'admin' })
  expect((await introspect(token, stranger)).json.active).toBe(false)
  expect(server.authority.revocations.isRevoked(revocable(token))).toBe(true)
  clock += 1000
  const later = await server.token(stranger)
  expect((await introspect(later, stranger)).json.active).toBe(true)
  expect(server.authority.revocations.isRevoked(revocable(later))).toBe(false)
  // The earlier one is said again by the later.
  await server.authority.store.transaction((transaction) =>
    insertClientRevocation(transaction, stranger.id, server.authority),
  )
  expect((await introspect(token, stranger)).json.active).toBe(false)
  const rows = await server.authority.store.database
    .selectFrom('revocations')
    .selectAll()
    .where('client_id', '=', stranger.id)
    .execute()
  expect(rows).toHaveLength(1)
  clock = 0
})

it('finds what a revoked key has signed inactive at once, and issues with another', async () => {
  const other = await startTestServer()
  try {
    const client = await other.addClient('svc-a')
    const token = await other.token(client)
    const kid = parseJwt(token).header.kid as string
    await revokeSigningKey(kid, other.authority.keys)
    expect((await other.post('/oauth/introspect', { token }, client)).json).toEqual({ active: false })
    expect(other.authority.revocations.isRevoked(revocable(token))).toBe(true)
    const jwks = (await (await fetch(`${other.url}/.well-known/jwks.json`)).json()) as { keys: { kid: string }[] }
    expect(jwks.keys.map((key) => key.kid)).not.toContain(kid)
    const fresh = await other.token(client)
    expect(parseJwt(fresh).header.kid).not.toBe(kid)
    expect((await other.post('/oauth/introspect', { token: fresh }, client)).json.active).toBe(true)
  } finally {
    await other.close()
  }
})

function revocable(token: string) {
  const { header, claims } = parseJwt(token)
  return {
    jti: claims.jti as string,
    client_id: claims.client_id as string,
    iat: claims.iat as number,
    kid: header.kid,
  }
}
