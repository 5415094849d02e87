import fc from 'fast-check'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { describeStores } from '../storage/stores.fixture.ts'
import { type AdminApiUnderTest, openAdminApi } from './admin-api.fixture.ts'
import { adminAudience } from './admin-scopes.ts'

/** Text that databases, JSON, URLs and logs stumble over, besides any other. */
const text = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 300 }),
  fc.string({ maxLength: 40 }),
  fc.constantFrom(
    '\u0000',
    '\ud800',
    '__proto__',
    'constructor',
    '../..',
    "'; drop table clients --",
    '%',
    '_',
    'null',
  ),
  fc.constantFrom('svc-a', 'root', 'urn:orders', adminAudience, 'ES256', 'read', 'a'.repeat(5000)),
)
const value = fc.oneof(
  { maxDepth: 3 },
  text,
  fc.integer(),
  fc.double(),
  fc.boolean(),
  fc.constant(null),
  fc.array(text, { maxLength: 4 }),
  fc.json({ maxDepth: 3 }).map((json) => JSON.parse(json)),
)
const members = [
  ...['id', 'audience', 'name', 'scopes', 'signing_alg', 'token_ttl', 'introspectors', 'disabled', 'default_audience'],
  ...[
    'auth_methods',
    'assertion_audience',
    'jwks_uri',
    'spiffe_ids',
    'tls_client_auth',
    'certificate',
    'with_secret',
    'label',
    'expires_in',
    'expires_at',
    'jwk',
    'jwks',
  ],
  ...['algorithm', 'jti', 'exp', 'client_id', 'type', 'outcome', 'events', 'reason', 'count', '__proto__'],
  ...['kind', 'force', 'bundle', 'endpoint_url', 'endpoint_profile', 'endpoint_spiffe_id', 'csr', 'dns_names', 'usage'],
  ...['spiffe_id', 'parent_id', 'selectors', 'ttl', 'hint', 'federates_with', 'policy', 'ip_addresses', 'common_name'],
]
/** Right but for what is drawn. */
const entryBody = fc.record(
  {
    spiffe_id: fc.oneof(fc.constant('spiffe://example.org/web'), text),
    parent_id: fc.oneof(fc.constantFrom('spiffe://example.org/spire/server', 'spiffe://example.org/web'), text),
    selectors: fc.array(fc.oneof(fc.constant('unix:uid:1'), text), { maxLength: 3 }),
    x509_svid_ttl: fc.oneof(fc.integer(), value),
    dns_names: fc.array(text, { maxLength: 2 }),
    hint: text,
    federates_with: fc.array(text, { maxLength: 2 }),
    expires_at: fc.oneof(fc.constant('2099-01-01T00:00:00Z'), text),
    policy: fc.oneof(fc.record({ binary_sha256: fc.array(text), not_root: fc.boolean() }), value),
    ttl: fc.oneof(fc.integer(), value),
  },
  { requiredKeys: [] },
)
const body = fc.oneof(
  entryBody.map((entry) => JSON.stringify(entry)),
  fc.dictionary(fc.constantFrom(...members), value, { maxKeys: 6 }).map((object) => JSON.stringify(object)),
  value.map((any) => JSON.stringify(any) ?? ''),
  fc.record({ jwks: fc.record({ keys: value }) }).map((set) => JSON.stringify(set)),
  fc
    .record({ jwk: fc.dictionary(fc.constantFrom('kty', 'crv', 'x', 'y', 'n', 'e', 'alg', 'kid', 'use'), value) })
    .map((key) => JSON.stringify(key)),
  text,
)
const segment = text.map((any) => encodeURIComponent(any.toWellFormed()) || 'x')
const path = fc.oneof(
  fc.constantFrom(
    '/apis',
    '/clients',
    '/services',
    '/signing-keys',
    '/signing-keys/rotate',
    '/audit-events',
    '/revocations',
    '/certificate-authorities',
    '/certificate-authorities/prepare',
    '/certificates',
    '/trust-bundles',
    '/entries',
    '/nodes',
    '/nodes/ban',
    '/nodes/evict',
    '/join-tokens',
  ),
  fc
    .tuple(segment, fc.constantFrom('activate', 'taint', 'revoke'))
    .map(([id, act]) => `/certificate-authorities/${id}/${act}`),
  fc.oneof(fc.constantFrom('example.org', 'other.org'), segment).map((name) => `/trust-bundles/${name}`),
  fc.tuple(fc.constantFrom('entries', 'nodes', 'join-tokens'), segment).map(([noun, id]) => `/${noun}/${id}`),
  segment.map((id) => `/apis/${id}`),
  segment.map((id) => `/clients/${id}`),
  segment.map((id) => `/signing-keys/${id}/revoke`),
  fc.oneof(fc.constant('order'), segment).map((name) => `/services/${name}`),
  fc.tuple(fc.constant('order'), segment).map(([name, kid]) => `/services/${name}/keys/${kid}`),
  fc
    .tuple(fc.oneof(fc.constant('svc-a'), segment), fc.constantFrom('secrets', 'keys', 'grants'), fc.option(segment))
    .map(([id, what, one]) => `/clients/${id}/${what}${one === null ? '' : `/${one}`}`),
)
const query = fc.oneof(
  fc.constant(''),
  fc
    .array(
      fc.tuple(
        fc.constantFrom(
          ...['limit', 'cursor', 'q', 'audience', 'type', 'since', 'until', 'order', 'chain', 'x'],
          ...['spiffe_id', 'parent_id', 'selector', 'attestation_type', 'banned', 'kind'],
        ),
        segment,
      ),
      {
        maxLength: 3,
      },
    )
    .map((pairs) => `?${pairs.map(([name, any]) => `${name}=${any}`).join('&')}`),
  fc.json({ maxDepth: 1 }).map((json) => `?cursor=${Buffer.from(json).toString('base64url')}`),
)
/** Never DELETE or PATCH on the root client: the test would lock itself out, rightly. */
const request = fc
  .record({ method: fc.constantFrom('GET', 'POST', 'PUT', 'PATCH', 'DELETE'), path, query, body })
  .filter((any) => any.method === 'GET' || !/root|rotate/.test(any.path))

describeStores('whatever is sent to the admin API', (kind) => {
  let server: AdminApiUnderTest
  beforeAll(async () => {
    server = await openAdminApi({ kind, spiffe: { trustDomain: 'example.org' } })
    await server.call('POST', '/apis', { audience: 'urn:orders', scopes: [{ name: 'read' }] })
    await server.call('POST', '/clients', { id: 'svc-a' })
    await server.call('PUT', '/services/order', { jwks: { keys: [] } })
  })
  afterAll(() => server.close())

  it('is never answered with a 5xx, and every refusal is a problem with a code', async () => {
    await fc.assert(
      fc.asyncProperty(request, async ({ method, path: at, query: asked, body: sent }) => {
        const answer = await server.call(method, `${at}${asked}`, method === 'GET' ? undefined : sent)
        expect(answer.status, `${method} ${at}${asked} ${sent}: ${answer.text}`).toBeLessThan(500)
        if (answer.status >= 400) {
          expect(answer.headers['content-type']).toContain('application/problem+json')
          expect(answer.body).toMatchObject({
            status: answer.status,
            code: expect.any(String),
            detail: expect.any(String),
          })
        }
        // The one who fuzzes may have revoked his own tokens.
        if (answer.status === 401) {
          server.advance(2)
          await server.renewRootToken()
        }
      }),
      { numRuns: 1500 },
    )
    expect((await server.call('GET', '/apis')).status).toBe(200)
  })

  it('shows no secret of others: neither answer, log nor audit event repeats what it was not asked for', async () => {
    const canary = 'cs_secret_CANARYcanaryCANARYcanaryCANARYcanaryCANARYcanary1'
    const client = (await server.call('POST', '/clients', { id: 'with-secret', with_secret: true })).body
    const answers = [
      await server.call('POST', '/clients', { id: canary, client_secret: canary }),
      await server.call('POST', '/clients', { id: 'x', secret: canary }),
      await server.call('POST', '/clients', { id: 'x', name: `secret ${canary}` }),
      await server.call('POST', '/clients/svc-a/secrets', { label: canary }),
      await server.call('POST', '/clients', { id: 'x', name: { secret: canary } }),
      await server.call('POST', '/clients', `{"id":"x","client_secret":"${canary}"`),
      await server.call('POST', '/apis', { audience: canary, scopes: canary }),
      await server.call('PATCH', '/clients/svc-a', { auth_methods: [canary] }),
      await server.call('PATCH', '/clients/svc-a', { jwks_uri: `https://u:${canary}@keys.example.com/` }),
      await server.call('POST', '/clients/svc-a/secrets', { expires_at: canary }),
      await server.call('POST', '/clients/svc-a/keys', { jwk: { kty: 'oct', k: canary } }),
      await server.call('POST', '/clients/svc-a/keys', {
        jwk: { kty: 'EC', crv: 'P-256', x: canary, y: canary, d: canary },
      }),
      await server.call('GET', `/clients?cursor=${canary}`),
      await server.call('GET', '/apis', undefined, { token: canary }),
      await server.call('GET', '/apis', undefined, { token: null, headers: { authorization: `Basic ${canary}` } }),
      await server.call('GET', '/clients/with-secret/secrets'),
      await server.call('GET', '/audit-events?limit=200'),
    ]
    const stored = await server.authority.store.database.selectFrom('audit_events').select('event').execute()
    for (const output of [
      ...answers.map(({ text: any }) => any),
      ...stored.map(({ event }) => event),
      server.logged(),
    ]) {
      expect(output).not.toContain(canary)
      expect(output).not.toContain(client.client_secret)
    }
  })
})
