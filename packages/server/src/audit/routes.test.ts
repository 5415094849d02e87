import { createPublicKey } from 'node:crypto'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { type AdminApiUnderTest, openAdminApi } from '../admin/admin-api.fixture.ts'
import { describeStores } from '../storage/stores.fixture.ts'
import { chainHash, chainStart, eventText, isHeadSigned } from './chain.ts'
import type { ChainedEvent } from './event.ts'

describeStores('audit events', (kind) => {
  let server: AdminApiUnderTest
  beforeAll(async () => {
    server = await openAdminApi({ kind })
    for (let n = 0; n < 12; n += 1) await server.call('POST', '/clients', { id: `svc-${n}` })
  })
  afterAll(() => server.close())

  const list = async (query = ''): Promise<{ items: ChainedEvent[]; next: string | null }> =>
    (await server.call('GET', `/audit-events${query}`)).body

  it('shows every change with who made it, from where, and with which credential', async () => {
    const { items } = await list('?type=client.created&limit=1')
    expect(items[0]).toMatchObject({
      type: 'client.created',
      outcome: 'success',
      client_id: 'root',
      address: '127.0.0.1',
      credential: server.authority.keyRing.published[0]?.kid,
      target: 'client/svc-11',
      chain: server.authority.audit.chain,
      hash: expect.stringMatching(/^[0-9a-f]{64}$/),
    })
  })

  it('gives all that is needed to check the chain outside', async () => {
    const events: ChainedEvent[] = []
    const { chain } = server.authority.audit
    let cursor: string | null = ''
    while (cursor !== null) {
      const page = await list(`?chain=${chain}&order=asc&limit=5${cursor && `&cursor=${encodeURIComponent(cursor)}`}`)
      events.push(...page.items)
      cursor = page.next
    }
    let previous = chainStart
    for (const { hash, ...event } of events) {
      expect(chainHash(previous, eventText(event))).toBe(hash)
      previous = hash
    }
    const { body } = await server.call('GET', '/audit-events/heads')
    expect(body.items[0]).toMatchObject({ sequence: events.length, hash: previous })
    const key = createPublicKey({ key: body.public_jwk, format: 'jwk' })
    expect(isHeadSigned(body.items[0], key)).toBe(true)
    expect(isHeadSigned({ ...body.items[0], sequence: events.length - 1 }, key)).toBe(false)
  })

  it('is newest first, and pages backwards without losing or repeating one', async () => {
    const first = await list('?limit=4')
    const second = await list(`?limit=4&cursor=${encodeURIComponent(first.next as string)}`)
    const sequences = [...first.items, ...second.items].map(({ sequence }) => sequence)
    expect(sequences).toEqual(Array.from({ length: 8 }, (_, n) => (sequences[0] as number) - n))
  })

  it('gives one chain in its own order, page by page, whatever the times of its events say', async () => {
    const { chain } = server.authority.audit
    for (const seconds of [30, -60, 45, -15]) {
      server.advance(seconds)
      await server.authority.audit.record({ type: 'test.clock', outcome: 'success' })
    }
    for (const order of ['asc', 'desc'] as const) {
      const sequences: number[] = []
      for (let cursor: string | null = ''; cursor !== null; ) {
        const page = await list(`?chain=${chain}&order=${order}&limit=3${cursor && `&cursor=${cursor}`}`)
        sequences.push(...page.items.map(({ sequence }) => sequence))
        cursor = page.next
      }
      const rising = order === 'asc' ? sequences : sequences.toReversed()
      expect(rising).toEqual(Array.from({ length: sequences.length }, (_, index) => index + 1))
    }
  })

  it('filters by type, client, outcome, chain and time', async () => {
    await server.call('GET', '/apis', undefined, { token: 'nonsense' })
    expect((await list('?outcome=failure')).items.every(({ outcome }) => outcome === 'failure')).toBe(true)
    expect((await list('?outcome=failure')).items).not.toHaveLength(0)
    expect((await list('?client_id=nobody')).items).toEqual([])
    expect((await list('?chain=elsewhere')).items).toEqual([])
    const at = (await list('?type=client.created&order=asc&limit=1')).items[0]?.time as string
    expect((await list(`?until=${at}&type=client.created`)).items).toEqual([])
    expect((await list(`?since=${at}&type=client.created&order=asc&limit=1`)).items[0]?.time).toBe(at)
    const elsewhere = encodeURIComponent(at.replace('Z', '+00:00'))
    expect((await list(`?since=${elsewhere}&type=client.created&order=asc&limit=1`)).items[0]?.time).toBe(at)
  })

  it.each(['since=yesterday', 'outcome=maybe', 'order=up', 'type=%00', 'client_id=', 'cursor=x', 'clientid=root'])(
    'answers 422 to %s',
    async (query) => {
      expect((await server.call('GET', `/audit-events?${query}`)).status).toBe(422)
    },
  )

  it('takes what a guard reports, and says who reported it', async () => {
    const guard = await server.administrator('orders-guard', ['audit:write'])
    const event = { type: 'access.refused', client_id: 'svc-x', reason: 'expired_token', audience: 'urn:orders' }
    const answer = await server.call('POST', '/audit-events', event, { token: guard.token })
    expect(answer).toMatchObject({ status: 201, body: { recorded: 1 } })
    const { items } = await list('?type=access.refused')
    expect(items[0]).toMatchObject({
      ...event,
      outcome: 'failure',
      detail: { reported_by: 'orders-guard', reported_from: '127.0.0.1' },
    })
    const many = { events: [event, { ...event, count: 7 }] }
    expect((await server.call('POST', '/audit-events', many, { token: guard.token })).body).toEqual({ recorded: 2 })
    expect((await server.call('GET', '/audit-events', undefined, { token: guard.token })).status).toBe(403)
  })

  it.each([
    { type: 'token.issued' },
    { type: 'client.created' },
    { type: 'signing_key.revoked' },
    { type: 'admin.refused' },
    { type: 'rate_limit.exceeded' },
    { type: 'revocation_feed.refused' },
    { type: 'store.restored' },
    { type: 'nonsense' },
    { type: 'access.refused', sequence: 1 },
    { type: 'access.refused', chain: 'local' },
    { type: 'access.refused', time: '2020-01-01T00:00:00Z' },
    { type: 'access.refused', detail: { reported_by: 'another' } },
    { type: 'access.refused', reason: 'x'.repeat(501) },
    { type: 'access.refused', reason: 'two\nlines' },
    { events: [] },
    { events: Array.from({ length: 101 }, () => ({ type: 'access.refused' })) },
  ])('lets nobody report %.60j', async (body) => {
    expect((await server.call('POST', '/audit-events', body)).status).toBe(422)
  })
})
