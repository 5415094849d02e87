import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type AdminApiUnderTest, openAdminApi, rootClient } from './admin-api.fixture.ts'
import { adminAudience, adminScopeNames } from './admin-scopes.ts'
import { ensureAdminClient } from './ensure-admin-client.ts'

describe('the bootstrap administrator', () => {
  let server: AdminApiUnderTest
  beforeAll(async () => {
    server = await openAdminApi()
  })
  afterAll(() => server.close())

  it('holds every scope of the admin API', async () => {
    const { body } = await server.call('GET', '/clients/root/grants')
    expect(body.items).toMatchObject([{ audience: adminAudience, scopes: adminScopeNames }])
  })

  it('is made once: doing it again writes nothing', async () => {
    const eventsBefore = await server.authority.store.database.selectFrom('audit_events').selectAll().execute()
    await ensureAdminClient(server.authority, rootClient)
    const eventsAfter = await server.authority.store.database.selectFrom('audit_events').selectAll().execute()
    // Only the request of the test before was recorded meanwhile: none, since reading is not.
    expect(eventsAfter.length).toBe(eventsBefore.length)
  })

  it('gets its new secret, and the old one is dead, while secrets made by hand stay', async () => {
    const byHand = await server.call('POST', '/clients/root/secrets', { label: 'by hand' })
    await ensureAdminClient(server.authority, { ...rootClient, clientSecret: 'the-next-secret-0123456789-0123456789' })
    await expect(server.tokenFor('root', 'the-next-secret-0123456789-0123456789')).resolves.toBeTypeOf('string')
    await expect(server.tokenFor('root', rootClient.clientSecret)).rejects.toThrow('invalid_client')
    await expect(server.tokenFor('root', byHand.body.client_secret)).resolves.toBeTypeOf('string')
    await ensureAdminClient(server.authority, rootClient)
  })

  it('is enabled and given its grant again after someone took them', async () => {
    const id = (await server.call('GET', `/apis?audience=${encodeURIComponent(adminAudience)}`)).body.items[0].id
    await server.call('DELETE', `/clients/root/grants/${id}`)
    await ensureAdminClient(server.authority, rootClient)
    await server.renewRootToken()
    expect((await server.call('GET', '/clients/root/grants')).body.items[0].scopes).toEqual(adminScopeNames)
  })

  it('refuses a secret that can be guessed and an id that is none', async () => {
    await expect(ensureAdminClient(server.authority, { clientId: 'a', clientSecret: 'short' })).rejects.toThrow('32')
    const clientSecret = rootClient.clientSecret
    await expect(ensureAdminClient(server.authority, { clientId: 'a b', clientSecret })).rejects.toThrow('id')
  })
})
