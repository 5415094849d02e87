import { parseCertificate, toPem, verifyX509Svid } from '@countersign/spiffe'
import { createTestAuthority, type TestAuthority } from '@countersign/spiffe/testing'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { type AdminApiUnderTest, openAdminApi } from '../admin/admin-api.fixture.ts'
import { describeStores } from '../storage/stores.fixture.ts'
import { workloadIdentityOf } from '../workload-identity.ts'
import { type BundleServer, documentOf, startBundleServer, withSvid } from './bundle-server.fixture.ts'
import { type RefreshContext, refreshBundles } from './refresh-bundles.ts'

let server: AdminApiUnderTest
let context: RefreshContext
let other: TestAuthority
const running: BundleServer[] = []

async function serve(...parameters: Parameters<typeof startBundleServer>): Promise<BundleServer> {
  const started = await startBundleServer(...parameters)
  running.push(started)
  return started
}

/** An endpoint that is known by its host name, under an authority that the test trusts as the web's. */
async function serveWeb(answer: BundleServer['answer']): Promise<BundleServer> {
  const web = createTestAuthority('web.test')
  const { certificatePem, keyPem } = web.certificate({ dnsNames: ['localhost'] })
  context = { ...context, ca: toPem(web.bundle.x509Authorities[0]?.der as Buffer) }
  return serve({ cert: certificatePem, key: keyPem }, answer)
}

const federate = (body: object, name = 'other.org') => server.call('PUT', `/trust-bundles/${name}`, body)
const known = async (name = 'other.org') => (await server.call('GET', `/trust-bundles/${name}`)).body
const identity = () => workloadIdentityOf(server.authority)

async function refresh(): Promise<void> {
  await refreshBundles(context)
  await server.authority.feed.catchUp()
}

/** As one of our guards or agents would judge an SVID of that trust domain. */
function trusts(authority: TestAuthority): boolean {
  try {
    verifyX509Svid(authority.x509Svid('/web').certificates, identity().federated, server.authority.now())
    return true
  } catch {
    return false
  }
}

describeStores('federation', (kind) => {
  beforeEach(async () => {
    const bundleFetch = { lookMilliseconds: 3_600_000 }
    server = await openAdminApi({ kind, spiffe: { trustDomain: 'example.org', bundleFetch } })
    other = createTestAuthority('other.org')
    const { store, audit, now } = server.authority
    const { ca, federated } = identity()
    const bundles = { get: (name: string) => (name === 'example.org' ? ca.bundle() : federated.get(name)) }
    context = { store, audit, now, bundles, reload: () => federated.load(), signal: new AbortController().signal }
  })
  afterEach(async () => {
    for (const each of running.splice(0)) await each.close()
    await server.close()
  })

  it('fetches a bundle from an https_web endpoint, and again when its refresh hint is over', async () => {
    const endpoint = await serveWeb(documentOf(other, { sequenceNumber: 1, refreshHintSeconds: 60 }))
    const set = await federate({ endpoint_url: endpoint.url, endpoint_profile: 'https_web' })
    expect(set).toMatchObject({ status: 201, body: { bundle: null } })
    expect(trusts(other)).toBe(false)
    await refresh()
    expect(await known()).toMatchObject({ sequence_number: 1, refresh_hint: 60, failure: null })
    expect(trusts(other)).toBe(true)

    other.rotate()
    endpoint.answer = documentOf(other, { sequenceNumber: 2, refreshHintSeconds: 60 })
    server.advance(58)
    await refresh()
    expect(endpoint.asked).toBe(1)
    server.advance(3)
    await refresh()
    expect(endpoint.asked).toBe(2)
    expect(trusts(other)).toBe(true)
  })

  it('fetches on when the clock, which was ahead by a day, is set right', async () => {
    const endpoint = await serveWeb(documentOf(other, { sequenceNumber: 1, refreshHintSeconds: 60 }))
    await federate({ endpoint_url: endpoint.url, endpoint_profile: 'https_web' })
    server.advance(86_400)
    await refresh()
    expect(endpoint.asked).toBe(1)
    server.advance(-86_400)
    await refresh()
    expect(endpoint.asked).toBe(2)
    await refresh()
    expect(endpoint.asked).toBe(2)
  })

  it('fetches from an https_spiffe endpoint, known by its ID and the bundle that was set first', async () => {
    const endpoint = await serve(withSvid(other.x509Svid('/bundle-endpoint')), documentOf(other, { sequenceNumber: 5 }))
    const set = await federate({
      endpoint_url: endpoint.url,
      endpoint_profile: 'https_spiffe',
      endpoint_spiffe_id: 'spiffe://other.org/bundle-endpoint',
      bundle: JSON.parse(documentOf(other, { sequenceNumber: 4 })),
    })
    expect(set.status).toBe(201)
    await refresh()
    expect(await known()).toMatchObject({ sequence_number: 5, failure: null })
  })

  it('knows an https_spiffe endpoint by the bundle that another replica was given a moment ago', async () => {
    const endpoint = await serve(withSvid(other.x509Svid('/bundle-endpoint')), documentOf(other, { sequenceNumber: 5 }))
    const bundle = JSON.parse(documentOf(createTestAuthority('other.org'), { sequenceNumber: 4 }))
    await federate({
      endpoint_url: endpoint.url,
      endpoint_profile: 'https_spiffe',
      endpoint_spiffe_id: 'spiffe://other.org/bundle-endpoint',
      bundle,
    })
    await server.authority.feed.catchUp()
    const unheard = { bundle: documentOf(other, { sequenceNumber: 4 }) }
    await server.authority.store.database.updateTable('trust_bundles').set(unheard).execute()
    await refresh()
    expect(await known()).toMatchObject({ sequence_number: 5, failure: null })
  })

  it('follows an https_spiffe endpoint through the rotation of its CA', async () => {
    const endpoint_spiffe_id = 'spiffe://other.org/bundle-endpoint'
    const first = await serve(withSvid(other.x509Svid('/bundle-endpoint')))
    other.rotate()
    first.answer = documentOf(other, { sequenceNumber: 2 })
    const before = createTestAuthority('other.org')
    await federate({
      endpoint_url: first.url,
      endpoint_profile: 'https_spiffe',
      endpoint_spiffe_id,
      bundle: JSON.parse(
        documentOf(other, { sequenceNumber: 1, x509Authorities: other.bundle.x509Authorities.slice(0, 1) }),
      ),
    })
    expect(trusts(other)).toBe(false)
    await refresh()
    expect(trusts(other)).toBe(true)
    expect(trusts(before)).toBe(false)

    const second = await serve(withSvid(other.x509Svid('/bundle-endpoint')), documentOf(other, { sequenceNumber: 3 }))
    await federate({ endpoint_url: second.url, endpoint_profile: 'https_spiffe', endpoint_spiffe_id })
    await refresh()
    expect(await known()).toMatchObject({ sequence_number: 3, failure: null })
  })

  it.each([
    [
      'another ID of the same trust domain',
      () => other.x509Svid('/somebody'),
      /is spiffe:\/\/other.org\/somebody, not/,
    ],
    ['that ID under a CA of its own', () => createTestAuthority('other.org').x509Svid('/bundle-endpoint'), /.+/],
    ['that path in a third trust domain', () => createTestAuthority('third.org').x509Svid('/bundle-endpoint'), /.+/],
  ])('refuses an https_spiffe endpoint that shows %s', async (_what, svid, reason) => {
    const endpoint = await serve(withSvid(svid()), documentOf(other, { sequenceNumber: 9 }))
    await federate({
      endpoint_url: endpoint.url,
      endpoint_profile: 'https_spiffe',
      endpoint_spiffe_id: 'spiffe://other.org/bundle-endpoint',
      bundle: JSON.parse(documentOf(other, { sequenceNumber: 4 })),
    })
    await refresh()
    expect(endpoint.asked).toBe(0)
    expect(await known()).toMatchObject({ sequence_number: 4, failure: expect.stringMatching(reason) })
    expect(trusts(other)).toBe(true)
  })

  it('does not take a certificate of the web for an https_spiffe endpoint, nor an SVID for the web', async () => {
    const web = await serveWeb(documentOf(other))
    const endpoint_spiffe_id = 'spiffe://other.org/bundle-endpoint'
    const bundle = JSON.parse(documentOf(other, { sequenceNumber: 1 }))
    await federate({ endpoint_url: web.url, endpoint_profile: 'https_spiffe', endpoint_spiffe_id, bundle })
    const spiffe = await serve(withSvid(createTestAuthority('third.org').x509Svid('/a')), documentOf(other))
    await federate({ endpoint_url: spiffe.url, endpoint_profile: 'https_web' }, 'third.org')
    await refresh()
    expect([web.asked, spiffe.asked]).toEqual([0, 0])
    for (const name of ['other.org', 'third.org']) expect((await known(name)).failure).toEqual(expect.any(String))
  })

  it('never goes back: an earlier sequence number is refused, fetched or by hand, and what is known stays', async () => {
    const endpoint = await serveWeb(documentOf(other, { sequenceNumber: 8 }))
    await federate({ endpoint_url: endpoint.url, endpoint_profile: 'https_web' })
    await refresh()
    const withdrawn = createTestAuthority('other.org')
    for (const sequenceNumber of [7, 8, undefined]) {
      const document = JSON.parse(documentOf(withdrawn))
      endpoint.answer = JSON.stringify({ ...document, spiffe_sequence: sequenceNumber })
      server.advance(400)
      await refresh()
      expect((await known()).failure).toContain('sequence number')
      const byHand = await federate({ bundle: { ...document, spiffe_sequence: sequenceNumber } })
      expect(byHand).toMatchObject({ status: 409, body: { code: 'stale_bundle' } })
    }
    expect(trusts(withdrawn)).toBe(false)
    expect(trusts(other)).toBe(true)
    const { items } = (await server.call('GET', '/audit-events?type=trust_bundle.refused')).body
    expect(items).toHaveLength(1)
  })

  it('begins anew with whatever number once it was deleted', async () => {
    await federate({ bundle: JSON.parse(documentOf(other, { sequenceNumber: 8 })) })
    expect((await server.call('DELETE', '/trust-bundles/other.org')).status).toBe(204)
    expect(trusts(other)).toBe(false)
    const anew = createTestAuthority('other.org')
    expect((await federate({ bundle: JSON.parse(documentOf(anew, { sequenceNumber: 1 })) })).status).toBe(201)
    expect(trusts(anew)).toBe(true)
  })

  it.each([
    ['no JSON', '<html>'],
    ['no keys', '{"spiffe_sequence":9}'],
    ['a private key', '{"keys":[{"use":"jwt-svid","kid":"a","kty":"EC","crv":"P-256","x":"AA","y":"AA","d":"AA"}]}'],
    ['more than 256 KiB', `{"keys":[],"x":"${'a'.repeat(256 * 1024)}"}`],
    ['a redirect', 302],
    ['an error', 500],
  ])('keeps what it knows when the endpoint answers %s', async (_what, answer) => {
    const endpoint = await serveWeb(documentOf(other, { sequenceNumber: 8 }))
    await federate({ endpoint_url: endpoint.url, endpoint_profile: 'https_web' })
    await refresh()
    endpoint.answer = answer as string
    server.advance(400)
    await refresh()
    expect(await known()).toMatchObject({ failure: expect.any(String), failing_since: expect.any(String) })
    expect(trusts(other)).toBe(true)
    endpoint.answer = documentOf(other, { sequenceNumber: 9 })
    server.advance(61)
    await refresh()
    expect(await known()).toMatchObject({ failure: null, failing_since: null, sequence_number: 9 })
  })

  it('asks an endpoint once, however many replicas find that it is time', async () => {
    const endpoint = await serveWeb(documentOf(other, { sequenceNumber: 1 }))
    await federate({ endpoint_url: endpoint.url, endpoint_profile: 'https_web' })
    await Promise.all([1, 2, 3, 4].map(refresh))
    expect(endpoint.asked).toBe(1)
  })

  it('drops what it fetched when the endpoint was changed meanwhile', async () => {
    const endpoint = await serveWeb(documentOf(other, { sequenceNumber: 1 }))
    await federate({ endpoint_url: endpoint.url, endpoint_profile: 'https_web' })
    endpoint.beforeAnswer = () => federate({ bundle: { keys: [] } })
    await refresh()
    expect(await known()).toMatchObject({ bundle: { keys: [] }, endpoint_url: null, failure: null })
  })

  it('distrusts all of a trust domain that publishes an empty bundle', async () => {
    const endpoint = await serveWeb(documentOf(other, { sequenceNumber: 1 }))
    await federate({ endpoint_url: endpoint.url, endpoint_profile: 'https_web' })
    await refresh()
    endpoint.answer = '{"keys":[],"spiffe_sequence":2}'
    server.advance(400)
    await refresh()
    expect(await known()).toMatchObject({ sequence_number: 2, failure: null })
    expect(trusts(other)).toBe(false)
  })

  it('uses each bundle for IDs of its own trust domain alone, even if two domains share an authority', async () => {
    await federate({ bundle: JSON.parse(documentOf(other)) })
    const liar = createTestAuthority('example.org')
    await federate({ bundle: JSON.parse(documentOf(liar)) }, 'third.org')
    expect(trusts(liar)).toBe(false)
    expect(trusts(createTestAuthority('third.org'))).toBe(false)
    expect(identity().ca.bundle().x509Authorities).toHaveLength(1)
  })

  it('goes to no plain http, no cloud metadata and no URL with a password', async () => {
    const endpoint_profile = 'https_web'
    for (const endpoint_url of ['http://localhost/', 'https://a:b@localhost/', 'file:///etc/passwd', 'nonsense']) {
      expect((await federate({ endpoint_url, endpoint_profile })).status).toBe(422)
    }
    await federate({ endpoint_url: 'https://169.254.169.254/latest', endpoint_profile })
    await federate({ endpoint_url: 'https://[::ffff:169.254.169.254]/latest', endpoint_profile }, 'third.org')
    await refresh()
    for (const name of ['other.org', 'third.org']) expect((await known(name)).failure).toMatch(/may not be reached/)
  })

  it('is set only with what can work', async () => {
    const url = 'https://other.org/bundle'
    const id = 'spiffe://other.org/bundle'
    const bundle = JSON.parse(documentOf(other))
    const wrong: [string, object][] = [
      ['other.org', {}],
      ['other.org', { endpoint_profile: 'https_web' }],
      ['other.org', { endpoint_url: url }],
      ['other.org', { endpoint_url: url, endpoint_profile: 'http' }],
      ['other.org', { endpoint_url: url, endpoint_profile: 'https_web', endpoint_spiffe_id: id }],
      ['other.org', { endpoint_url: url, endpoint_profile: 'https_spiffe' }],
      ['other.org', { endpoint_url: url, endpoint_profile: 'https_spiffe', endpoint_spiffe_id: id }],
      [
        'other.org',
        { endpoint_url: url, endpoint_profile: 'https_spiffe', endpoint_spiffe_id: 'spiffe://other.org', bundle },
      ],
      ['other.org', { bundle: { keys: 'none' } }],
      ['example.org', { bundle }],
      ['Not%20A%20Domain', { bundle }],
    ]
    for (const [name, body] of wrong)
      expect([name, body, (await federate(body, name)).status]).toEqual([name, body, 422])
    expect((await server.call('GET', '/trust-bundles')).body.items).toEqual([])
    expect((await server.call('DELETE', '/trust-bundles/other.org')).status).toBe(404)
  })

  it('lists what is known, and shows the own bundle beside it', async () => {
    await federate({ bundle: JSON.parse(documentOf(other)) })
    await federate({ bundle: { keys: [] } }, 'another.org')
    const { items } = (await server.call('GET', '/trust-bundles')).body
    expect(items.map(({ trust_domain }: { trust_domain: string }) => trust_domain)).toEqual([
      'another.org',
      'other.org',
    ])
    expect(await known('example.org')).toMatchObject({
      own: true,
      sequence_number: 2,
      bundle: { keys: expect.any(Array) },
    })
  })

  it('makes nobody an administrator who is not: an administrating client of that trust domain takes its scopes', async () => {
    await server.call('POST', '/clients', { id: 'foreign', spiffe_ids: ['spiffe://other.org/chief'] })
    await server.call('PUT', `/clients/foreign/grants/${encodeURIComponent('urn:countersign:admin')}`, {
      scopes: ['keys:write'],
    })
    const narrow = await server.administrator('narrow', ['trust_bundles:write'])
    const wide = await server.administrator('wide', ['trust_bundles:write', 'keys:write'])
    const put = async ({ token }: { token: string }, name = 'other.org') =>
      (await server.call('PUT', `/trust-bundles/${name}`, { bundle: { keys: [] } }, { token })).status
    expect(await put(narrow)).toBe(403)
    expect(await put(narrow, 'third.org')).toBe(201)
    expect(await put(wide)).toBe(201)
  })

  it('is shown and changed only by whom it was granted', async () => {
    const reader = await server.administrator('reader', ['trust_bundles:read'])
    const other = await server.administrator('other', ['certificate_authorities:write'])
    const call = (method: string, { token }: { token: string }) =>
      server.call(method, '/trust-bundles/other.org', method === 'PUT' ? { bundle: { keys: [] } } : undefined, {
        token,
      })
    expect((await call('PUT', reader)).status).toBe(403)
    expect((await call('DELETE', other)).status).toBe(403)
    expect((await call('GET', reader)).status).toBe(404)
    expect((await call('GET', other)).status).toBe(403)
  })
})

it('publishes the own bundle with an ETag, and says nothing twice', async () => {
  const server = await openAdminApi({ spiffe: { trustDomain: 'example.org', bundleRefreshHintSeconds: 60 } })
  try {
    const first = await server.app.inject('/spiffe/bundle')
    expect(first.headers).toMatchObject({ 'cache-control': 'public, max-age=60' })
    expect(first.json()).toMatchObject({ spiffe_sequence: 2, spiffe_refresh_hint: 60 })
    const uses = first.json().keys.map(({ use }: { use: string }) => use)
    expect(uses.sort()).toEqual(['jwt-svid', 'x509-svid'])
    const headers = { 'if-none-match': first.headers.etag as string }
    expect((await server.app.inject({ url: '/spiffe/bundle', headers })).statusCode).toBe(304)
    await server.call('POST', '/certificate-authorities/prepare', { kind: 'jwt' })
    const second = await server.app.inject({ url: '/spiffe/bundle', headers })
    expect(second.json()).toMatchObject({ spiffe_sequence: 3 })
    const [x509] = second.json().keys.filter(({ use }: { use: string }) => use === 'x509-svid')
    expect(x509).not.toHaveProperty('kid')
    expect(x509.x5c).toHaveLength(1)
    expect(parseCertificate(Buffer.from(x509.x5c[0], 'base64')).isCa).toBe(true)
  } finally {
    await server.close()
  }
})
