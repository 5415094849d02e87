import { afterAll, beforeAll, expect, it } from 'vitest'
import { type AdminApiUnderTest, openAdminApi } from '../admin/admin-api.fixture.ts'
import { describeStores } from '../storage/stores.fixture.ts'

const id = (path: string) => `spiffe://example.org${path}`
const selectors = ['unix:uid:1000']

describeStores('an administrator of entries and nodes alone', (kind) => {
  let server: AdminApiUnderTest
  let token: string
  const refused = { status: 403, body: { code: 'insufficient_scope', scope: 'clients:write' } }

  beforeAll(async () => {
    server = await openAdminApi({ kind, spiffe: { trustDomain: 'example.org' } })
    ;({ token } = await server.administrator('small', ['entries:read', 'entries:write', 'nodes:write']))
    await server.administrator('robot', ['clients:write', 'entries:write'])
    await server.call('PATCH', '/clients/robot', { spiffe_ids: [id('/admin/*')] })
    await server.administrator('named', ['clients:write'])
    await server.call('PATCH', '/clients/named', { tls_client_auth: { san_dns: 'robot.example' } })
    await server.call('POST', '/entries', { spiffe_id: id('/admin/deep'), parent_id: id('/rack'), selectors })
    await server.call('POST', '/entries', { spiffe_id: id('/rack'), parent_id: id('/room'), selectors })
    await server.call('POST', '/entries', { spiffe_id: id('/room'), parent_id: id('/rack'), selectors })
  })
  afterAll(() => server.close())

  const create = (spiffe_id: string, members: object = {}) =>
    server.call('POST', '/entries', { spiffe_id, parent_id: id('/elsewhere'), selectors, ...members }, { token })

  it('makes entries of workloads', async () => {
    expect(await create(id('/web'))).toMatchObject({ status: 201 })
    expect(await create(id('/administrator'))).toMatchObject({ status: 201 })
  })

  it('gives no workload the SPIFFE ID of a client that holds more than he does', async () => {
    expect(await create(id('/admin/robot'))).toMatchObject(refused)
    const { body: web } = await create(id('/web-2'))
    const change = (members: object) => server.call('PATCH', `/entries/${web.id}`, members, { token })
    expect(await change({ spiffe_id: id('/admin/robot') })).toMatchObject(refused)
    expect((await server.call('GET', `/entries/${web.id}`)).body).toEqual(web)
  })

  it('changes no entry of such a client, to be met by a workload of his own', async () => {
    const { items } = (await server.call('GET', `/entries?spiffe_id=${id('/admin/deep')}`)).body
    for (const members of [{ selectors: ['unix:uid:0'] }, { parent_id: id('/mine') }, { policy: null, hint: 'x' }]) {
      expect(await server.call('PATCH', `/entries/${items[0].id}`, members, { token })).toMatchObject(refused)
    }
  })

  it('gives no node of his own the ID below which such an entry is, however deep', async () => {
    for (const spiffe_id of [id('/rack'), id('/room')]) {
      expect(await create(spiffe_id)).toMatchObject(refused)
      const alias = { parent_id: id('/spire/server'), selectors: ['x509pop:subject:cn:mine'] }
      expect(await create(spiffe_id, alias)).toMatchObject(refused)
      expect(await server.call('POST', '/join-tokens', { spiffe_id }, { token })).toMatchObject(refused)
    }
    expect((await server.call('GET', '/join-tokens')).body.items).toEqual([])
    expect(await server.call('POST', '/join-tokens', { spiffe_id: id('/mine') }, { token })).toMatchObject({
      status: 201,
    })
  })

  it('gives no workload the DNS name by which the certificates of such a client are known, nor what is above one', async () => {
    const dns_names = ['ROBOT.example']
    expect(await create(id('/named'), { dns_names })).toMatchObject(refused)
    expect(await create(id('/named'), { dns_names: ['robots.example'] })).toMatchObject({ status: 201 })
    await server.call('POST', '/entries', { spiffe_id: id('/shed/one'), parent_id: id('/shed'), selectors, dns_names })
    expect(await create(id('/shed'))).toMatchObject(refused)
    expect(await server.call('POST', '/join-tokens', { spiffe_id: id('/shed') }, { token })).toMatchObject(refused)
  })

  it('may do all of this where he holds as much himself', async () => {
    const equal = await server.administrator('equal', ['entries:write', 'clients:write', 'nodes:write'])
    const body = { spiffe_id: id('/admin/robot'), parent_id: id('/elsewhere'), selectors }
    expect(await server.call('POST', '/entries', body, { token: equal.token })).toMatchObject({ status: 201 })
    const token_ = await server.call('POST', '/join-tokens', { spiffe_id: id('/room') }, { token: equal.token })
    expect(token_).toMatchObject({ status: 201 })
  })
})
