import { parseJwt } from '@countersign/tokens'
import pg from 'pg'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { startTestServer, type TestClient, type TestServer } from '../server.fixture.ts'
import { revokeSigningKey, rotateSigningKey } from '../signing-keys/lifecycle.ts'
import { announce } from '../storage/change-feed.ts'
import { eventually } from '../storage/services.fixture.ts'
import { revokeClientTokens } from './revoke.ts'

const postgresUrl = process.env.COUNTERSIGN_TEST_POSTGRES_URL

/** What is done on `here` must count on `there` with the very next request: nothing in these tests waits. */
describe.skipIf(postgresUrl === undefined)('two replicas on one PostgreSQL', () => {
  let here: TestServer
  let there: TestServer
  let client: TestClient

  beforeAll(async () => {
    const databaseUrl = await freshDatabase(postgresUrl as string)
    const issuer = 'https://auth.example.com/'
    here = await startTestServer({ databaseUrl, issuer, settings: { replica: 'here' } })
    there = await startTestServer({ databaseUrl, issuer, masterKey: here.masterKey, settings: { replica: 'there' } })
    client = await here.addClient('svc-a')
  })
  afterAll(async () => {
    await there?.close()
    await here?.close()
  })

  const isActive = async (server: TestServer, token: string) =>
    (await server.post('/oauth/introspect', { token }, client)).json.active

  it('find a token active that the other issued with a key made a moment ago', async () => {
    await rotateSigningKey('ES256', here.authority.keys)
    expect(await isActive(there, await here.token(client))).toBe(true)
  })

  it('find a token inactive that the other revoked, and soon hold it in memory', async () => {
    const token = await here.token(client)
    expect((await here.post('/oauth/revoke', { token }, client)).status).toBe(200)
    expect(await isActive(there, token)).toBe(false)
    const { jti, iat } = parseJwt(token).claims as { jti: string; iat: number }
    await eventually(() => there.authority.revocations.isRevoked({ jti, iat, client_id: client.id }))
  })

  it("find a client's tokens inactive when the other revoked them all, or disabled the client", async () => {
    const other = await here.addClient('svc-b')
    const token = await there.token(other)
    const ask = async () => (await there.post('/oauth/introspect', { token }, other)).json.active
    await revokeClientTokens(other.id, here.authority, {})
    expect(await ask()).toBe(false)

    const third = await here.addClient('svc-c')
    const thirds = await here.token(third)
    await here.authority.store.database.updateTable('apis').set({ introspectors: '["svc-a"]' }).execute()
    expect(await isActive(there, thirds)).toBe(true)
    await here.authority.audit.recordChange({ type: 'client.updated', outcome: 'success' }, async (transaction) => {
      await transaction.updateTable('clients').set({ disabled: 1 }).where('id', '=', third.id).execute()
      await announce(transaction, here.authority.store, { kind: 'client', id: third.id, at: 0 })
    })
    expect(await isActive(there, thirds)).toBe(false)
  })

  it('find inactive what a key has signed that the other revoked', async () => {
    const token = await there.token(client)
    await revokeSigningKey(parseJwt(token).header.kid as string, here.authority.keys)
    expect(await isActive(there, token)).toBe(false)
  })

  it('revoke a token once between them when both are asked at once', async () => {
    const token = await here.token(client)
    const answers = await Promise.all(
      Array.from({ length: 20 }, (_, index) => (index % 2 ? here : there).post('/oauth/revoke', { token }, client)),
    )
    expect(answers.map(({ status }) => status)).toEqual(Array(20).fill(200))
    const { jti } = parseJwt(token).claims as { jti: string }
    const rows = await here.authority.store.database
      .selectFrom('revocations')
      .select('jti')
      .where('jti', '=', jti)
      .execute()
    expect(rows).toHaveLength(1)
  })
})

async function freshDatabase(url: string): Promise<string> {
  const name = `oauth_${process.pid}_${Date.now()}`
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  await client.query(`create database ${name}`)
  await client.end()
  const fresh = new URL(url)
  fresh.pathname = `/${name}`
  return fresh.href
}
