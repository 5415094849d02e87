import { afterAll, beforeAll, expect, it } from 'vitest'
import { type AdminApiUnderTest, openAdminApi } from '../admin/admin-api.fixture.ts'
import { describeStores } from '../storage/stores.fixture.ts'
import type { WorkloadIdentity } from '../workload-identity.ts'
import type { AttestedNode, NodeAttestor } from './node-attestor.ts'

const agentId = (name: string) => `spiffe://example.org/spire/agent/x509pop/${name}`
const invalid = expect.objectContaining({ name: 'AttestationError', code: 'invalid' })

describeStores('nodes and join tokens', (kind) => {
  let server: AdminApiUnderTest
  let identity: WorkloadIdentity
  let joinToken: NodeAttestor

  beforeAll(async () => {
    server = await openAdminApi({ kind, spiffe: { trustDomain: 'example.org' } })
    identity = server.authority.workloadIdentity as WorkloadIdentity
    joinToken = identity.nodeAttestors.find(({ type }) => type === 'join_token') as NodeAttestor
  })
  afterAll(() => server.close())

  const lastEvent = async () => (await server.call('GET', '/audit-events?limit=1')).body.items[0]
  const makeToken = async (body: unknown = {}) => (await server.call('POST', '/join-tokens', body)).body
  let number = 0
  const another = (what: string) => {
    number += 1
    return `${what}${number}`
  }
  /** Each time as another agent, unless told */
  const present = (token: string, key = another('key')) =>
    joinToken.attest(Buffer.from(token), async () => expect.fail('a join token is not asked back'), Buffer.from(key))
  const takeIn = (node: AttestedNode, serialNumber = 'aa') =>
    identity.nodes.attested({
      ...{ ...node, type: 'join_token', serialNumber },
      notAfter: server.authority.now() + 3600,
    })
  const join = async (token: string, key?: string, serialNumber?: string) =>
    takeIn(await present(token, key), serialNumber)
  const attested = (name: string, type = 'x509pop') =>
    identity.nodes.attested({
      id: agentId(name),
      type,
      selectors: [{ type, value: 'a:b' }],
      serialNumber: 'aa',
      notAfter: server.authority.now() + 3600,
      reattestable: true,
    })

  it('are shown, listed by page, and by how they attested themselves', async () => {
    for (const name of ['a', 'b', 'c']) await attested(name)
    await attested('d', 'k8s_psat')
    const { body } = await server.call('GET', `/nodes/${encodeURIComponent(agentId('a'))}`)
    expect(body).toEqual({
      spiffe_id: agentId('a'),
      attestation_type: 'x509pop',
      selectors: ['x509pop:a:b'],
      serial_number: 'aa',
      expires_at: expect.stringMatching(/Z$/),
      new_serial_number: null,
      reattestable: true,
      agent_version: null,
      banned: false,
      banned_at: null,
      attested_at: expect.stringMatching(/Z$/),
      created_at: expect.stringMatching(/Z$/),
    })
    const first = (await server.call('GET', '/nodes?limit=3')).body
    const second = (await server.call('GET', `/nodes?limit=3&cursor=${first.next}`)).body
    const names = [...first.items, ...second.items].map((item) => item.spiffe_id)
    expect(names).toEqual(['a', 'b', 'c', 'd'].map(agentId))
    expect(second.next).toBeNull()
    expect((await server.call('GET', '/nodes?attestation_type=k8s_psat')).body.items).toHaveLength(1)
    expect((await server.call('GET', '/nodes?banned=true')).body.items).toEqual([])
  })

  it('are banned and evicted by their ID', async () => {
    const banned = await server.call('POST', '/nodes/ban', { spiffe_id: agentId('b') })
    expect(banned).toMatchObject({ status: 200, body: { banned: true, spiffe_id: agentId('b') } })
    expect(await lastEvent()).toMatchObject({ type: 'node.banned', client_id: 'root', target: `node/${agentId('b')}` })
    expect((await server.call('GET', '/nodes?banned=true')).body.items).toHaveLength(1)
    expect((await server.call('GET', '/nodes?banned=false')).body.items).toHaveLength(3)
    expect((await server.call('POST', '/nodes/evict', { spiffe_id: agentId('b') })).status).toBe(204)
    expect(await lastEvent()).toMatchObject({ type: 'node.evicted' })
    for (const verb of ['ban', 'evict']) {
      expect((await server.call('POST', `/nodes/${verb}`, { spiffe_id: agentId('b') })).status).toBe(404)
      expect((await server.call('POST', `/nodes/${verb}`, {})).status).toBe(422)
    }
    expect((await server.call('GET', `/nodes/${encodeURIComponent(agentId('b'))}`)).status).toBe(404)
  })

  it('gives a token once, which lets one agent join, once', async () => {
    const made = await server.call('POST', '/join-tokens', { ttl: 60 })
    expect(made).toMatchObject({
      status: 201,
      body: { spiffe_id: null, token: expect.stringMatching(/^[0-9a-f]{48}$/) },
    })
    const { id, token, agent_id } = made.body
    expect(agent_id).toBe(`spiffe://example.org/spire/agent/join_token/${token}`)
    expect(await lastEvent()).toMatchObject({
      type: 'join_token.created',
      client_id: 'root',
      target: `join_token/${id}`,
      detail: { ttl: 60 },
    })
    expect((await server.call('GET', '/join-tokens')).body.items).toMatchObject([{ id }])
    // Whoever only shows it has used nothing up: the server may fall before it has recorded the node.
    expect(await present(token)).toMatchObject({ id: agent_id, selectors: [], reattestable: false })
    await join(token)
    expect((await server.call('GET', `/nodes/${encodeURIComponent(agent_id)}`)).status).toBe(200)
    await expect(join(token)).rejects.toEqual(invalid)
    expect((await server.call('GET', '/join-tokens')).body.items).toEqual([])
  })

  it('lets one of a hundred join that come with one token at once', async () => {
    for (const body of [{}, { spiffe_id: 'spiffe://example.org/hundred' }]) {
      const { token } = await makeToken(body)
      const answers = await Promise.allSettled(Array.from({ length: 100 }, () => join(token)))
      expect(answers.filter(({ status }) => status === 'fulfilled')).toHaveLength(1)
      for (const answer of answers) if (answer.status === 'rejected') expect(answer.reason).toEqual(invalid)
    }
    const entries = await server.call('GET', '/entries?spiffe_id=spiffe://example.org/hundred')
    expect(entries.body.items).toHaveLength(1)
  })

  it('keeps no token in its tables, its events or its log', async () => {
    const { token } = await makeToken({ spiffe_id: 'spiffe://example.org/second' })
    const { database } = server.authority.store
    const kept = [
      await database.selectFrom('join_tokens').selectAll().execute(),
      await database.selectFrom('registration_entries').selectAll().execute(),
      await database.selectFrom('audit_events').selectAll().execute(),
      await database.selectFrom('changes').selectAll().execute(),
      (await server.call('GET', '/join-tokens')).text,
      server.logged(),
    ]
    expect(JSON.stringify(kept)).not.toContain(token)
    await expect(join(`${token}x`)).rejects.not.toThrow(token)
  })

  it('gives an agent its second ID when it joins, and so the entries below it', async () => {
    const parent = 'spiffe://example.org/rack-1'
    const { body: web } = await server.call('POST', '/entries', {
      spiffe_id: 'spiffe://example.org/web',
      parent_id: parent,
      selectors: ['unix:uid:1000'],
    })
    const { token, agent_id } = await makeToken({ spiffe_id: parent })
    await join(token)
    const now = server.authority.now()
    const options = { workloadPolicies: true, attestedAt: now, now }
    const entries = identity.entries.index.authorizedEntries({ id: agent_id, selectors: [] }, options)
    expect(entries).toMatchObject([
      { spiffeId: parent, parentId: agent_id, selectors: [{ type: 'spiffe_id', value: agent_id }] },
      { id: web.id },
    ])
    expect(await lastEvent()).toMatchObject({ type: 'entry.created', detail: { spiffe_id: parent } })
    // Which goes with the node, as the token can never be used again.
    expect((await server.call('POST', '/nodes/evict', { spiffe_id: agent_id })).status).toBe(204)
    expect(await lastEvent()).toMatchObject({ type: 'node.evicted', detail: { entries_deleted: [entries[0]?.id] } })
    expect(identity.entries.index.authorizedEntries({ id: agent_id, selectors: [] }, options)).toEqual([])
    expect((await server.call('GET', `/entries/${web.id}`)).status).toBe(200)
  })

  it('takes neither an expired token, nor a deleted one, nor a guess', async () => {
    const { token: late } = await makeToken({ ttl: 5 })
    const { id, token: deleted } = await makeToken()
    expect((await server.call('DELETE', `/join-tokens/${id}`)).status).toBe(204)
    expect(await lastEvent()).toMatchObject({ type: 'join_token.deleted', target: `join_token/${id}` })
    expect((await server.call('DELETE', `/join-tokens/${id}`)).status).toBe(404)
    server.advance(5)
    const seen: string[] = []
    for (const token of [late, deleted, '', 'a'.repeat(129), '../server', 'a/b', `${late}\n`, '\0', 'f'.repeat(48)]) {
      await join(token).catch((error) => seen.push(`${error.code}: ${error.message}`))
    }
    expect(seen).toHaveLength(9)
    expect(new Set(seen).size).toBe(1)
  })

  it('spends an expired token too, and forgets those that nobody used', async () => {
    const { token } = await makeToken({ ttl: 5 })
    await makeToken({ ttl: 5 })
    server.advance(6)
    await expect(join(token)).rejects.toEqual(invalid)
    expect((await server.call('GET', '/join-tokens')).body.items).toHaveLength(1)
    await makeToken()
    const rows = await server.authority.store.database.selectFrom('join_tokens').selectAll().execute()
    expect(rows.every(({ expires_at }) => expires_at >= server.authority.now())).toBe(true)
  })

  it.each([
    ['a life of no time', { ttl: 0 }, 'ttl'],
    ['a life of a year', { ttl: 365 * 86_400 }, 'ttl'],
    ['a reserved ID', { spiffe_id: agentId('a') }, 'spiffe_id'],
    ['an ID of another trust domain', { spiffe_id: 'spiffe://other.example/a' }, 'spiffe_id'],
    ['a token that somebody chose', { token: 'easy' }, 'token'],
  ])('makes no token with %s', async (_what, body, path) => {
    const answer = await server.call('POST', '/join-tokens', body)
    expect(answer).toMatchObject({ status: 422, body: { errors: [{ path }] } })
  })

  it('asks for nodes:read to see nodes and nodes:write for the rest', async () => {
    const reader = await server.administrator('node-reader', ['nodes:read'])
    const writer = await server.administrator('node-writer', ['nodes:write'])
    const status = async (method: string, path: string, { token }: { token: string }, body?: unknown) =>
      (await server.call(method, path, body, { token })).status
    expect(await status('GET', '/nodes', reader)).toBe(200)
    expect(await status('GET', '/nodes', writer)).toBe(403)
    expect(await status('GET', '/join-tokens', reader)).toBe(403)
    expect(await status('POST', '/join-tokens', reader, {})).toBe(403)
    expect(await status('POST', '/nodes/ban', reader, { spiffe_id: agentId('a') })).toBe(403)
    expect(await status('POST', '/nodes/evict', reader, { spiffe_id: agentId('a') })).toBe(403)
    expect(await status('POST', '/join-tokens', writer, {})).toBe(201)
    expect(await status('GET', '/join-tokens', writer)).toBe(200)
    expect(await status('POST', '/nodes/ban', writer, { spiffe_id: agentId('a') })).toBe(200)
  })
})
