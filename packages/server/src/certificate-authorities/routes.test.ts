import { afterAll, beforeAll, expect, it } from 'vitest'
import { type AdminApiUnderTest, openAdminApi } from '../admin/admin-api.fixture.ts'
import { describeStores } from '../storage/stores.fixture.ts'

describeStores('certificate authorities in the admin API', (kind) => {
  let server: AdminApiUnderTest
  beforeAll(async () => {
    server = await openAdminApi({ kind, spiffe: { trustDomain: 'example.org', publishAheadSeconds: 600 } })
  })
  afterAll(() => server.close())

  const list = async (query = '') => (await server.call('GET', `/certificate-authorities${query}`)).body.items
  const withStatus = async (status: string) =>
    (await list('?kind=x509')).find((item: { status: string }) => item.status === status)
  const published = async () => (await server.app.inject('/spiffe/bundle')).json()

  it('are listed by kind and by pages, without a private key', async () => {
    const { body, text } = await server.call('GET', '/certificate-authorities')
    expect(body.items).toHaveLength(2)
    expect(text).not.toMatch(/PRIVATE|sealed|v1\./)
    expect(await withStatus('active')).toMatchObject({
      trust_domain: 'example.org',
      certificate: expect.stringMatching(/^-----BEGIN CERTIFICATE-----/),
      roots: [expect.stringMatching(/^-----BEGIN CERTIFICATE-----/)],
      revoked_at: null,
    })
    const first = (await server.call('GET', '/certificate-authorities?limit=1')).body
    const second = (await server.call('GET', `/certificate-authorities?limit=1&cursor=${first.next}`)).body
    expect([...first.items, ...second.items].map(({ id }) => id)).toEqual(
      body.items.map(({ id }: { id: string }) => id),
    )
    expect(second.next).toBeNull()
  })

  it('are prepared, published ahead, and refused to sign before everybody can know them', async () => {
    const before = (await published()).spiffe_sequence
    const { status, body } = await server.call('POST', '/certificate-authorities/prepare', { kind: 'x509' })
    expect([status, body.status]).toEqual([201, 'prepared'])
    const bundle = await published()
    expect(bundle.spiffe_sequence).toBe(before + 1)
    expect(bundle.keys.filter(({ use }: { use: string }) => use === 'x509-svid')).toHaveLength(2)
    expect((await server.call('POST', '/certificate-authorities/prepare', { kind: 'x509' })).status).toBe(409)
    const early = await server.call('POST', `/certificate-authorities/${body.id}/activate`)
    expect(early).toMatchObject({ status: 409, body: { code: 'too_early' } })
    expect(early.body.detail).toMatch(/wait \d+ seconds, or force it/)
    server.advance(600)
    const activated = await server.call('POST', `/certificate-authorities/${body.id}/activate`)
    expect(activated).toMatchObject({ status: 200, body: { status: 'active', id: body.id } })
  })

  it('are tainted and then revoked, and leave the bundle at once', async () => {
    const { id } = await withStatus('retired')
    expect((await server.call('POST', `/certificate-authorities/${id}/revoke`)).body.code).toBe('not_tainted')
    expect((await server.call('POST', `/certificate-authorities/${id}/taint`)).body.tainted_at).toEqual(
      expect.any(String),
    )
    const revoked = await server.call('POST', `/certificate-authorities/${id}/revoke`)
    expect(revoked).toMatchObject({ status: 200, body: { status: 'revoked' } })
    const { keys } = await published()
    expect(keys.filter(({ use }: { use: string }) => use === 'x509-svid')).toHaveLength(1)
  })

  it('are rotated when it is time, or by force at once', async () => {
    const before = await withStatus('active')
    const asked = await server.call('POST', '/certificate-authorities/rotate', { kind: 'x509' })
    expect(asked).toMatchObject({ status: 200, body: { status: 'prepared', activation_asked_at: expect.any(String) } })
    const forced = await server.call('POST', '/certificate-authorities/rotate', { kind: 'x509', force: true })
    expect(forced.body).toMatchObject({ status: 'active', id: asked.body.id })
    expect((await withStatus('retired')).id).toBe(before.id)
  })

  it('answer 404 to an id that is none, 422 to a kind that is none, 409 where one signs still', async () => {
    for (const act of ['activate', 'taint', 'revoke']) {
      for (const id of ['nothing', "'%20or%201=1"]) {
        expect((await server.call('POST', `/certificate-authorities/${id}/${act}`)).status).toBe(404)
      }
    }
    for (const body of [{}, { kind: 'ssh' }, { kind: 'x509', forced: true }]) {
      expect((await server.call('POST', '/certificate-authorities/rotate', body)).status).toBe(422)
    }
    const { id } = await withStatus('active')
    expect((await server.call('POST', `/certificate-authorities/${id}/taint`)).body.code).toBe('still_active')
  })

  it('are seen and changed only by whom it was granted', async () => {
    const reader = await server.administrator('reader', ['certificate_authorities:read'])
    const other = await server.administrator('other', ['keys:write'])
    const ask = (method: string, path: string, { token }: { token: string }) =>
      server.call(method, `/certificate-authorities${path}`, method === 'GET' ? undefined : { kind: 'jwt' }, { token })
    expect((await ask('GET', '', reader)).status).toBe(200)
    expect((await ask('POST', '/prepare', reader)).status).toBe(403)
    expect((await ask('GET', '', other)).status).toBe(403)
    expect((await ask('POST', '/rotate', other)).status).toBe(403)
  })

  it('leave in the audit log who did what', async () => {
    const { items } = (await server.call('GET', '/audit-events?type=ca.revoked')).body
    expect(items).toMatchObject([{ client_id: 'root', address: '127.0.0.1', outcome: 'success' }])
  })
})

it('says what to configure where there is no trust domain', async () => {
  const server = await openAdminApi()
  try {
    for (const path of ['/certificate-authorities', '/trust-bundles', '/trust-bundles/example.org']) {
      expect(await server.call('GET', path)).toMatchObject({ status: 409, body: { code: 'no_trust_domain' } })
    }
    const answer = await server.app.inject('/spiffe/bundle')
    expect(answer.statusCode).toBe(404)
    expect(answer.json().detail).toContain('spiffe.trust_domain')
  } finally {
    await server.close()
  }
})
