import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type AdminApiUnderTest, openAdminApi } from '../admin/admin-api.fixture.ts'
import { describeStores } from '../storage/stores.fixture.ts'

const id = (path: string) => `spiffe://example.org${path}`
const agent = id('/spire/agent/x509pop/0123456789abcdef0123456789abcdef01234567')
const web = { spiffe_id: id('/web'), parent_id: agent, selectors: ['unix:uid:1000'] }
const hash = 'ab'.repeat(32)

describeStores('registration entries', (kind) => {
  let server: AdminApiUnderTest
  beforeAll(async () => {
    server = await openAdminApi({ kind, spiffe: { trustDomain: 'example.org' } })
  })
  afterAll(() => server.close())

  const lastEvent = async () => (await server.call('GET', '/audit-events?limit=1')).body.items[0]
  const authorized = () => {
    const { workloadIdentity, now } = server.authority
    const options = { workloadPolicies: true, attestedAt: now(), now: now() }
    return workloadIdentity?.entries.index.authorizedEntries({ id: agent, selectors: [] }, options) ?? []
  }
  const removeAll = async () => {
    for (const { id } of (await server.call('GET', '/entries?limit=200')).body.items) {
      await server.call('DELETE', `/entries/${id}`)
    }
  }

  it('are created, and known to agents by the time that the answer is there', async () => {
    const answer = await server.call('POST', '/entries', web)
    expect(answer.status).toBe(201)
    expect(answer.body).toEqual({
      id: expect.any(String),
      ...web,
      x509_svid_ttl: 0,
      jwt_svid_ttl: 0,
      dns_names: [],
      hint: '',
      federates_with: [],
      admin: false,
      downstream: false,
      store_svid: false,
      expires_at: null,
      policy: null,
      revision_number: 0,
      created_at: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/),
      updated_at: expect.stringMatching(/Z$/),
    })
    expect(answer.headers.location).toBe(`/api/v1/entries/${answer.body.id}`)
    expect(authorized()).toMatchObject([{ id: answer.body.id, spiffeId: web.spiffe_id }])
    expect(await lastEvent()).toMatchObject({
      type: 'entry.created',
      client_id: 'root',
      target: `entry/${answer.body.id}`,
      detail: { spiffe_id: web.spiffe_id, parent_id: agent, selectors: ['unix:uid:1000'] },
    })
    expect((await server.call('GET', `/entries/${answer.body.id}`)).body).toEqual(answer.body)
  })

  it('hold all that can be said of them', async () => {
    const whole = {
      spiffe_id: id('/whole'),
      parent_id: id('/rack'),
      selectors: ['docker:label:a:b', 'unix:path:/usr/bin/with space and ünicode'],
      x509_svid_ttl: 5,
      jwt_svid_ttl: 30 * 86_400,
      dns_names: ['db.example.com', '*.db.example.com'],
      hint: 'internal',
      federates_with: ['other.example'],
      admin: true,
      downstream: true,
      store_svid: true,
      expires_at: '2099-01-01T00:00:00Z',
      policy: { binary_sha256: [hash], not_root: true, node_attested_within: 3600 },
    }
    const { body } = await server.call('POST', '/entries', whole)
    expect(body).toMatchObject(whole)
    expect(server.authority.workloadIdentity?.entries.index.get(body.id)).toMatchObject({
      expiresAt: Date.parse(whole.expires_at) / 1000,
      policy: { binarySha256: [hash], notRoot: true, nodeAttestedWithinSeconds: 3600 },
    })
  })

  it('are the same in whatever order and however often their selectors stand', async () => {
    const selectors = ['unix:uid:7', 'unix:gid:7']
    const first = await server.call('POST', '/entries', { ...web, selectors })
    expect(first.body.selectors).toEqual(['unix:gid:7', 'unix:uid:7'])
    const again = await server.call('POST', '/entries', { ...web, selectors: [...selectors.reverse(), 'unix:uid:7'] })
    expect(again).toMatchObject({ status: 409, body: { code: 'conflict' } })
    expect(again.body.detail).toContain('spiffe_id, parent_id and selectors already')
    const case_ = await server.call('POST', '/entries', { ...web, spiffe_id: 'SPIFFE://EXAMPLE.ORG/web', selectors })
    expect(case_.status).toBe(409)
  })

  it('get a new revision with each change, and none without one', async () => {
    const { body: made } = await server.call('POST', '/entries', { ...web, spiffe_id: id('/patched') })
    const patch = (body: unknown) => server.call('PATCH', `/entries/${made.id}`, body)
    const changed = await patch({ x509_svid_ttl: 20, policy: { not_root: true } })
    expect(changed).toMatchObject({ status: 200, body: { revision_number: 1, x509_svid_ttl: 20 } })
    expect(await lastEvent()).toMatchObject({
      type: 'entry.updated',
      detail: { changed: ['x509_svid_ttl', 'policy'], not_root: true },
    })
    const event = await lastEvent()
    expect((await patch({ x509_svid_ttl: 20, selectors: ['unix:uid:1000'] })).body.revision_number).toBe(1)
    expect((await patch({})).body.revision_number).toBe(1)
    expect(await lastEvent()).toEqual(event)
    expect((await patch({ policy: null })).body).toMatchObject({ revision_number: 2, policy: null })
    expect((await patch({ policy: { not_root: false } })).body).toMatchObject({ revision_number: 2, policy: null })
    expect((await patch({ expires_at: '2099-01-01T00:00:00Z' })).body).toMatchObject({ revision_number: 3 })
    expect((await patch({ expires_at: null })).body).toMatchObject({ revision_number: 4, expires_at: null })
    expect((await patch({ parent_id: id('/elsewhere') })).body).toMatchObject({ revision_number: 5 })
    expect(authorized().map((entry) => entry.id)).not.toContain(made.id)
  })

  it('cannot be changed into one that is there', async () => {
    const { body: made } = await server.call('POST', '/entries', { ...web, spiffe_id: id('/twin') })
    expect((await server.call('PATCH', `/entries/${made.id}`, { spiffe_id: web.spiffe_id })).status).toBe(409)
    expect((await server.call('GET', `/entries/${made.id}`)).body).toEqual(made)
  })

  it('lose no change when many come at once', async () => {
    const { body: made } = await server.call('POST', '/entries', { ...web, spiffe_id: id('/busy') })
    const hints = Array.from({ length: 10 }, (_, number) => `hint-${number}`)
    await Promise.all(hints.map((hint) => server.call('PATCH', `/entries/${made.id}`, { hint })))
    expect((await server.call('GET', `/entries/${made.id}`)).body.revision_number).toBe(10)
  })

  it('are made once when the same is asked a hundred times at once', async () => {
    const once = { ...web, spiffe_id: id('/once') }
    const answers = await Promise.all(Array.from({ length: 100 }, () => server.call('POST', '/entries', once)))
    expect(answers.filter(({ status }) => status === 201)).toHaveLength(1)
    expect(answers.filter(({ status }) => status === 409)).toHaveLength(99)
  })

  it('go, and are known to no agent by the time that the answer is there', async () => {
    const { body: made } = await server.call('POST', '/entries', { ...web, spiffe_id: id('/gone') })
    expect((await server.call('DELETE', `/entries/${made.id}`)).status).toBe(204)
    expect(authorized().map((entry) => entry.id)).not.toContain(made.id)
    expect(await lastEvent()).toMatchObject({ type: 'entry.deleted', detail: { spiffe_id: id('/gone') } })
    for (const method of ['GET', 'DELETE', 'PATCH']) {
      expect((await server.call(method, `/entries/${made.id}`, method === 'PATCH' ? {} : undefined)).status).toBe(404)
    }
  })

  it('are listed by page, and by what they have', async () => {
    await removeAll()
    const numbers = [1, 2, 3, 4, 5]
    for (const number of numbers) {
      await server.call('POST', '/entries', {
        spiffe_id: id(number === 1 ? '/one' : '/many'),
        parent_id: id(`/rack-${number % 2}`),
        selectors: [`unix:uid:${number}`, 'unix:group:a%b_c"d'],
      })
    }
    const list = async (query: string) => (await server.call('GET', `/entries?${query}`)).body
    const seen: string[] = []
    let page = await list('limit=2')
    for (;;) {
      seen.push(...page.items.map((item: { id: string }) => item.id))
      if (page.next === null) break
      page = await list(`limit=2&cursor=${page.next}`)
    }
    expect(new Set(seen).size).toBe(5)
    expect((await list(`spiffe_id=${id('/one')}`)).items).toHaveLength(1)
    expect((await list(`parent_id=${id('/rack-1')}`)).items).toHaveLength(3)
    expect((await list(`parent_id=${id('/rack-1')}&spiffe_id=${id('/many')}`)).items).toHaveLength(2)
    expect((await list('selector=unix:uid:3')).items).toHaveLength(1)
    expect((await list(`selector=${encodeURIComponent('unix:group:a%b_c"d')}`)).items).toHaveLength(5)
    for (const selector of ['unix:uid:', 'unix:uid:33', 'unix:group:a%', 'nix:uid:3', 'unix:group:a_b_c"d']) {
      expect((await list(`selector=${encodeURIComponent(selector)}`)).items, selector).toHaveLength(0)
    }
  })

  it.each([
    ['a SPIFFE ID of another trust domain', { spiffe_id: 'spiffe://other.example/web' }, 'spiffe_id'],
    ['the trust domain itself', { spiffe_id: 'spiffe://example.org' }, 'spiffe_id'],
    ['the ID of an agent', { spiffe_id: agent }, 'spiffe_id'],
    ['the ID of the server', { spiffe_id: id('/spire/server') }, 'spiffe_id'],
    ['anything else that is reserved', { spiffe_id: id('/spire') }, 'spiffe_id'],
    ['no SPIFFE ID', { spiffe_id: 'web' }, 'spiffe_id'],
    ['a path that steps up', { spiffe_id: id('/spire/../web') }, 'spiffe_id'],
    ['a path with a percent sign', { spiffe_id: id('/%73pire/server') }, 'spiffe_id'],
    ['a parent of another trust domain', { parent_id: 'spiffe://other.example/spire/agent/a' }, 'parent_id'],
    ['a parent that is reserved and neither agent nor server', { parent_id: id('/spire/other') }, 'parent_id'],
    ['no selector', { selectors: [] }, 'selectors'],
    ['a selector without a type', { selectors: [':uid'] }, 'selectors.0'],
    ['a selector without a value', { selectors: ['unix:'] }, 'selectors.0'],
    ['a selector without a colon', { selectors: ['unix'] }, 'selectors.0'],
    ['a selector of two lines', { selectors: ['unix:uid:1\n'] }, 'selectors.0'],
    ['a lifetime of four seconds', { x509_svid_ttl: 4 }, 'x509_svid_ttl'],
    ['a lifetime of a year', { jwt_svid_ttl: 365 * 86_400 }, 'jwt_svid_ttl'],
    ['a negative lifetime', { x509_svid_ttl: -5 }, 'x509_svid_ttl'],
    ['a DNS name with a star within', { dns_names: ['a.*.example.com'] }, 'dns_names.0'],
    ['a DNS name with a dot at its end', { dns_names: ['example.com.'] }, 'dns_names.0'],
    ['a DNS name with a null byte', { dns_names: ['a\0.example.com'] }, 'dns_names.0'],
    ['a hint too long', { hint: 'h'.repeat(1025) }, 'hint'],
    ['its own trust domain to federate with', { federates_with: ['example.org'] }, 'federates_with.0'],
    ['a trust domain with a scheme', { federates_with: ['spiffe://other.example'] }, 'federates_with.0'],
    ['an end that is past', { expires_at: '2020-01-01T00:00:00Z' }, 'expires_at'],
    ['an end that is no time', { expires_at: 'tomorrow' }, 'expires_at'],
    ['an empty list of approved programs', { policy: { binary_sha256: [] } }, 'policy.binary_sha256'],
    ['a hash in capitals', { policy: { binary_sha256: [hash.toUpperCase()] } }, 'policy.binary_sha256.0'],
    ['a demand that it does not know', { policy: { not_rot: true } }, 'policy.not_rot'],
    ['a member that it does not know', { spifeid: 'x' }, 'spifeid'],
    ['a demand on the workload of an alias', { parent_id: id('/spire/server'), policy: { not_root: true } }, 'policy'],
  ])('are refused with %s', async (_what, members, path) => {
    const answer = await server.call('POST', '/entries', { ...web, spiffe_id: id('/refused'), ...members })
    expect(answer).toMatchObject({ status: 422, body: { code: 'invalid' } })
    expect(answer.body.errors[0].path).toBe(path)
    expect((await server.call('GET', `/entries?spiffe_id=${id('/refused')}`)).body.items).toEqual([])
  })

  it('are refused without what each must have', async () => {
    for (const member of Object.keys(web)) {
      const answer = await server.call('POST', '/entries', { ...web, [member]: undefined })
      expect(answer).toMatchObject({ status: 422, body: { errors: [{ path: member }] } })
    }
  })

  it('do not turn into an alias with a demand on the workload, by halves', async () => {
    const { body: made } = await server.call('POST', '/entries', {
      ...web,
      spiffe_id: id('/halves'),
      policy: { not_root: true },
    })
    const answer = await server.call('PATCH', `/entries/${made.id}`, { parent_id: id('/spire/server') })
    expect(answer).toMatchObject({ status: 422, body: { errors: [{ path: 'policy' }] } })
  })

  it('ask for entries:read to see and entries:write to change', async () => {
    const { body: made } = await server.call('POST', '/entries', { ...web, spiffe_id: id('/scoped') })
    const reader = await server.administrator('entry-reader', ['entries:read'])
    const writer = await server.administrator('entry-writer', ['entries:write'])
    const status = async (method: string, path: string, { token }: { token: string }, body?: unknown) =>
      (await server.call(method, path, body, { token })).status
    expect(await status('GET', '/entries', reader)).toBe(200)
    expect(await status('GET', '/entries', writer)).toBe(403)
    expect(await status('GET', `/entries/${made.id}`, writer)).toBe(403)
    for (const caller of [reader]) {
      expect(await status('POST', '/entries', caller, { ...web, spiffe_id: id('/mine') })).toBe(403)
      expect(await status('PATCH', `/entries/${made.id}`, caller, { admin: true })).toBe(403)
      expect(await status('DELETE', `/entries/${made.id}`, caller)).toBe(403)
    }
    expect(await status('PATCH', `/entries/${made.id}`, writer, { hint: 'a' })).toBe(200)
    expect(await status('DELETE', `/entries/${made.id}`, writer)).toBe(204)
  })
})

describe('a server without a trust domain', () => {
  it('says so at everything about workloads, and how to have one', async () => {
    const server = await openAdminApi()
    const reads = ['/entries', '/entries/x', '/nodes', '/nodes/x', '/join-tokens']
    const answers = await Promise.all([
      ...reads.map((path) => server.call('GET', path)),
      server.call('POST', '/entries', web),
      server.call('PATCH', '/entries/x', {}),
      server.call('DELETE', '/entries/x'),
      server.call('POST', '/nodes/ban', { spiffe_id: agent }),
      server.call('POST', '/nodes/evict', { spiffe_id: agent }),
      server.call('POST', '/join-tokens', {}),
      server.call('DELETE', '/join-tokens/x'),
    ])
    for (const { status, body } of answers) {
      expect({ status, code: body.code }).toEqual({ status: 409, code: 'no_trust_domain' })
      expect(body.detail).toContain('spiffe.trust_domain')
    }
    await server.close()
  })
})
