import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { rawRequest } from '../raw-http.fixture.ts'
import { type AnyJson, createWorld, type StartedService, type World } from '../world.fixture.ts'

const edge = (functionName: string, loginRequired: boolean, M2MAllowed: boolean) => ({
  edgeControllerOptions: { functionName, loginRequired, M2MAllowed },
  edgeRestSettings: { path: `/${functionName}`, method: 'GET' },
})
const edgeControllers = [edge('open', false, false), edge('login', true, false), edge('m2m', false, true)]
const tell = ({ tenant, session }: AnyJson) => ({ tenant: tenant ?? null, session: session?.subject ?? null })
const functions = { open: tell, login: tell, m2m: tell }

let world: World
let shop: StartedService
let single: StartedService
beforeAll(async () => {
  world = await createWorld()
  const serviceSettings = { serviceOptions: { multiTenant: true } }
  const environment = { TENANT_HOST: '$tenant.shop.example' }
  shop = await world.start('shop', { serviceSettings, edgeControllers }, { functions, environment })
  single = await world.start('single', { edgeControllers }, { functions, environment })
})
afterAll(() => world[Symbol.asyncDispose]())

/** With any Host, which `fetch` does not allow. */
const get = (path: string, headers: Record<string, string>, at = shop) => {
  const { Host: host = new URL(at.url).host, ...others } = headers
  const lines = Object.entries(others).map(([name, value]) => `${name}: ${value}`)
  return rawRequest(at.url, [`GET ${path} HTTP/1.1`, ...lines], '', host)
}
const bearer = (claims: object) => ({ Authorization: `Bearer ${world.userToken({ ...claims })}` })
const signed = (at: StartedService, path: string, tenant: string | undefined, headers: Record<string, string> = {}) =>
  world.fetchAs('order', { tenant })(at.url + path, { headers })

describe('the tenant of a call that nobody proves', () => {
  it('is named by the header or the host', async () => {
    expect((await get('/open', { 'X-Tenant-Id': 'acme' })).body).toEqual({ tenant: 'acme', session: null })
    for (const host of ['acme.shop.example', 'ACME.Shop.Example:8080', 'acme.shop.example.'])
      expect((await get('/open', { Host: host })).body).toEqual({ tenant: 'acme', session: null })
    expect((await get('/open', { Host: 'acme.shop.example', 'X-Tenant-Id': 'acme' })).status).toBe(200)
  })

  it.each([
    ['nothing names it', {}, 'tenant_missing'],
    ['header and host differ', { 'X-Tenant-Id': 'acme', Host: 'evil.shop.example' }, 'tenant_contradiction'],
    ['it is no name', { 'X-Tenant-Id': '../acme' }, 'malformed_tenant'],
    ['it is a list', { 'X-Tenant-Id': 'acme, evil' }, 'malformed_tenant'],
    ['the host has a label too many', { Host: 'a.b.shop.example' }, 'tenant_missing'],
    ['the host only ends alike', { Host: 'acme.evilshop.example' }, 'tenant_missing'],
    ['the host is the bare one', { Host: '.shop.example' }, 'tenant_missing'],
  ])('is refused where %s', async (_what, headers, code) => {
    expect(await get('/open', headers)).toMatchObject({ status: 400, body: { code } })
  })

  it('is refused where the header comes twice with different names', async () => {
    const lines = ['GET /open HTTP/1.1', 'X-Tenant-Id: acme', 'x-tenant-id: evil']
    expect((await rawRequest(shop.url, lines)).status).toBe(400)
  })
})

describe('the tenant of a session', () => {
  it('is the one that the session is of', async () => {
    expect((await get('/login', bearer({ tenant: 'acme' }))).body).toEqual({ tenant: 'acme', session: 'alice' })
    const same = { ...bearer({ tenant: 'acme' }), 'X-Tenant-Id': 'acme', Host: 'acme.shop.example' }
    expect((await get('/login', same)).body).toEqual({ tenant: 'acme', session: 'alice' })
  })

  it.each([{ 'X-Tenant-Id': 'evil' }, { Host: 'evil.shop.example' }])(
    'is seen by no other tenant (%o)',
    async (headers) => {
      const { status, body, text } = await get('/login', { ...bearer({ tenant: 'acme' }), ...headers } as AnyJson)
      expect({ status, code: body.code, reason: body.reason }).toEqual({
        status: 403,
        code: 'wrong_tenant',
        reason: 'tenant',
      })
      expect(text).not.toContain('acme')
    },
  )

  it('is not to be chosen by a session of no tenant', async () => {
    expect(await get('/login', { ...bearer({}), 'X-Tenant-Id': 'acme' })).toMatchObject({ status: 403 })
  })

  it('is compared exactly', async () => {
    expect((await get('/login', { ...bearer({ tenant: 'acme' }), 'X-Tenant-Id': 'Acme' })).status).toBe(403)
  })
})

describe('the tenant of a service token', () => {
  it('is its signed claim', async () => {
    expect(await (await signed(shop, '/m2m', 'acme')).json()).toEqual({ tenant: 'acme', session: null })
    expect((await signed(shop, '/m2m', 'acme', { 'x-tenant-id': 'acme' })).status).toBe(200)
  })

  it('is refused where the header says otherwise', async () => {
    const response = await signed(shop, '/m2m', 'acme', { 'x-tenant-id': 'evil' })
    expect({ status: response.status, body: await response.json() }).toMatchObject({
      status: 401,
      body: { code: 'InvalidM2MToken', reason: 'tenant' },
    })
    expect(response.headers.get('www-authenticate')).toContain('M2M error="InvalidM2MToken"')
  })

  it('is refused where the host says otherwise', async () => {
    const binding = { transport: 'http', method: 'GET', target: '/m2m', digest: emptyDigest } as const
    const token = world.signer('order').sign({ audience: 'shop-service', binding, tenant: 'acme' })
    const answer = await get('/m2m', { 'X-M2M-Token': token, Host: 'evil.shop.example' })
    expect(answer).toMatchObject({ status: 401, body: { code: 'InvalidM2MToken', reason: 'tenant' } })
  })

  it('is never taken from the header alone', async () => {
    for (const headers of [{}, { 'x-tenant-id': 'acme' }] as Record<string, string>[]) {
      const response = await signed(shop, '/m2m', undefined, headers)
      expect({ status: response.status, body: await response.json() }).toMatchObject({
        status: 401,
        body: { code: 'InvalidM2MToken', reason: 'tenant' },
      })
    }
  })
})

describe('a service of one tenant', () => {
  it('does not look at header and host', async () => {
    const answer = await get('/open', { 'X-Tenant-Id': 'not a/name', Host: 'acme.shop.example' }, single)
    expect(answer).toMatchObject({ status: 200, body: { tenant: null } })
  })

  it('tells the proven tenant nevertheless', async () => {
    expect(await (await signed(single, '/m2m', 'acme', { 'x-tenant-id': 'evil' })).json()).toMatchObject({
      tenant: 'acme',
    })
    expect((await get('/login', { ...bearer({ tenant: 'acme' }), 'X-Tenant-Id': 'evil' }, single)).body.tenant).toBe(
      'acme',
    )
  })
})

const emptyDigest = 'sha-256:47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU'
