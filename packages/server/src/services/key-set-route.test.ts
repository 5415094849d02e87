import { type GeneratedKey, generateSigningKey } from '@countersign/tokens'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Answer, readAnswer, startTestServer, type TestServer } from '../server.fixture.ts'
import { describeStores, type FreshDatabase, freshDatabase } from '../storage/stores.fixture.ts'
import { addServiceKey, removeServiceKey, setService, unregisterService } from './manage-services.ts'

const [first, second] = (await Promise.all([generateSigningKey('EdDSA'), generateSigningKey('EdDSA')])) as [
  GeneratedKey,
  GeneratedKey,
]

async function get(server: TestServer, path: string, headers: Record<string, string> = {}): Promise<Answer> {
  return readAnswer(await fetch(`${server.url}${path}`, { headers, redirect: 'manual' }))
}
const setOf = (server: TestServer, name: string, headers?: Record<string, string>) =>
  get(server, `/${name}/.well-known/jwks.json`, headers)
const kidsIn = ({ json }: Answer) => json.keys.map(({ kid }: { kid: string }) => kid)

describeStores("a service's key set", (kind) => {
  let fresh: FreshDatabase
  let server: TestServer
  beforeAll(async () => {
    fresh = await freshDatabase(kind)
    server = await startTestServer({ databaseUrl: fresh.url })
    await setService('order', [first.publicJwk], server.authority, {})
  })
  afterAll(async () => {
    await server.close()
    await fresh.drop()
  })

  it.each(['order', 'order-service', '%6frder'])('is what /%s/ publishes', async (name) => {
    const answer = await setOf(server, name)
    expect(answer).toMatchObject({ status: 200, json: { keys: [first.publicJwk] } })
    expect(answer.headers.get('cache-control')).toBe('public, max-age=300')
    expect(answer.headers.get('content-type')).toMatch(/^application\/json/)
  })

  it('is not sent again to whoever has it', async () => {
    const etag = (await setOf(server, 'order')).headers.get('etag') as string
    for (const known of [etag, `W/${etag}`, `"other", ${etag}`, '*']) {
      const answer = await setOf(server, 'order', { 'if-none-match': known })
      expect(answer).toMatchObject({ status: 304, text: '' })
      expect(answer.headers.get('etag')).toBe(etag)
    }
    expect((await setOf(server, 'order', { 'if-none-match': '"other"' })).status).toBe(200)
  })

  it('follows every change at once', async () => {
    const { authority } = server
    const { etag } = Object.fromEntries((await setOf(server, 'order')).headers) as { etag: string }
    await addServiceKey('order', second.publicJwk, authority, {})
    const both = await setOf(server, 'order', { 'if-none-match': etag })
    expect(both.status).toBe(200)
    expect(kidsIn(both)).toEqual([first.kid, second.kid])
    await removeServiceKey('order', first.kid, authority, {})
    expect(kidsIn(await setOf(server, 'order'))).toEqual([second.kid])
    await removeServiceKey('order', second.kid, authority, {})
    expect((await setOf(server, 'order')).json).toEqual({ keys: [] })
    await setService('order', [first.publicJwk], authority, {})
    expect(kidsIn(await setOf(server, 'order'))).toEqual([first.kid])
  })

  it('is there the moment that a service is registered, though it was asked for before, and gone with it', async () => {
    expect((await setOf(server, 'late')).status).toBe(404)
    await setService('late', [first.publicJwk], server.authority, {})
    expect(kidsIn(await setOf(server, 'late'))).toEqual([first.kid])
    await unregisterService('late', server.authority, {})
    expect((await setOf(server, 'late')).status).toBe(404)
  })

  it.each(['unknown', 'Order', 'order-service-service', '__proto__', 'constructor', '%2e%2e%2f', 'a'.repeat(900)])(
    'is a problem where %s is asked for',
    async (name) => {
      const answer = await setOf(server, name)
      expect(answer).toMatchObject({ status: 404, json: { code: 'not_found', status: 404 } })
      expect(answer.headers.get('content-type')).toContain('application/problem+json')
      expect(answer.headers.get('cache-control')).toBe('no-store')
    },
  )

  it('stands in the way of no other route, whatever the service is called', async () => {
    const paths = ['/.well-known/jwks.json', '/.well-known/openid-configuration', '/healthz', '/api/v1/openapi.json']
    const before = await Promise.all(paths.map((path) => get(server, path)))
    for (const name of ['oauth', 'api', 'healthz', 'well-known', 'v1']) {
      await setService(name, [first.publicJwk], server.authority, {})
      expect(kidsIn(await setOf(server, name))).toEqual([first.kid])
    }
    const after = await Promise.all(paths.map((path) => get(server, path)))
    expect(after.map(({ status, text }) => ({ status, text }))).toEqual(
      before.map(({ status, text }) => ({ status, text })),
    )
    expect(kidsIn(after[0] as Answer)).not.toContain(first.kid)
    for (const path of ['/.well-known/.well-known/jwks.json', '//.well-known/jwks.json', '/order/jwks.json']) {
      expect((await get(server, path)).status, path).toBe(404)
    }
    expect((await server.post('/order/.well-known/jwks.json', {})).status).toBeGreaterThanOrEqual(400)
  })
})

describe('an issuer with a path', () => {
  let server: TestServer
  beforeAll(async () => {
    server = await startTestServer({ issuer: 'https://example.com/auth/' })
  })
  afterAll(() => server.close())

  it('leaves nobody the name at which its own keys seem to stand', async () => {
    for (const name of ['auth', 'auth-service']) {
      const registering = setService(name, [first.publicJwk], server.authority, {})
      await expect(registering).rejects.toMatchObject({ status: 422, code: 'invalid' })
    }
    // As a restore from another issuer could leave it.
    const row = { name: 'auth', keys: JSON.stringify([first.publicJwk]), created_at: 0, updated_at: 0 }
    await server.authority.store.database.insertInto('services').values(row).execute()
    expect((await setOf(server, 'auth')).status).toBe(404)
    await setService('order', [first.publicJwk], server.authority, {})
    expect(kidsIn(await setOf(server, 'order'))).toEqual([first.kid])
  })
})
