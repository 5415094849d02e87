import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { type AdminApiUnderTest, openAdminApi } from '../admin/admin-api.fixture.ts'
import type { ChainedEvent } from './event.ts'

interface Received {
  id: string
  event: ChainedEvent
}

describe('the stream of audit events', () => {
  let server: AdminApiUnderTest
  let url: string
  let token: string
  beforeEach(async () => {
    server = await openAdminApi()
    url = await server.app.listen({ port: 0, host: '127.0.0.1' })
    token = (await server.administrator('watcher', ['audit:read'])).token
  })
  afterEach(() => server.close())

  const open = (query = '', headers: Record<string, string> = {}) =>
    fetch(`${url}/api/v1/audit-events${query}`, {
      headers: { authorization: `Bearer ${token}`, accept: 'text/event-stream', ...headers },
    })

  it('tells what happens from now on, in order, with an id to go on from', async () => {
    const response = await open('?type=client.created')
    expect(response.headers.get('content-type')).toBe('text/event-stream')
    expect(response.headers.get('cache-control')).toBe('no-store')
    const stream = received(response)
    for (let n = 0; n < 3; n += 1) await server.call('POST', '/clients', { id: `svc-${n}` })
    const first = [await next(stream), await next(stream), await next(stream)]
    expect(first.map(({ event }) => event.target)).toEqual(['client/svc-0', 'client/svc-1', 'client/svc-2'])
    await stream.return(undefined)

    await server.call('POST', '/clients', { id: 'svc-3' })
    const again = received(await open('?type=client.created', { 'last-event-id': (first[1] as Received).id }))
    expect((await next(again)).event.target).toBe('client/svc-2')
    expect((await next(again)).event.target).toBe('client/svc-3')
    await again.return(undefined)
  })

  it('begins at a time in the past when asked to', async () => {
    const stream = received(await open('?type=client.created&since=2020-01-01T00:00:00Z'))
    expect((await next(stream)).event.target).toBe('client/root')
    await stream.return(undefined)
  })

  it('misses no event since a time although a later place in the chain has an earlier time', async () => {
    const { audit } = server.authority
    const record = (target: string) => audit.record({ type: 'test.clock', outcome: 'success', target })
    await record('before')
    const since = new Date(Date.now() + 2000).toISOString()
    server.advance(5)
    await record('since')
    server.advance(-4)
    await record('earlier')
    server.advance(6)
    await record('last')
    const stream = received(await open(`?type=test.clock&since=${since}`))
    expect((await next(stream)).event.target).toBe('since')
    expect((await next(stream)).event.target).toBe('last')
    await stream.return(undefined)
  })

  it('tells what another replica wrote', async () => {
    const stream = received(await open('?type=client.created&chain=elsewhere'))
    const { database } = server.authority.store
    const event = {
      chain: 'elsewhere',
      sequence: 1,
      time: new Date().toISOString(),
      type: 'client.created',
      outcome: 'success',
    }
    const row = { ...event, client_id: null, event: JSON.stringify(event), hash: '0'.repeat(64) }
    await database.insertInto('audit_events').values(row).execute()
    const head = { chain: 'elsewhere', sequence: 1, hash: row.hash, time: event.time, signature: '' }
    await database.insertInto('audit_heads').values(head).execute()
    expect((await next(stream)).event.chain).toBe('elsewhere')
    await stream.return(undefined)
  })

  it('ends with the token: when it is revoked, when it expires, when the client is disabled', async () => {
    for (const end of [
      () => server.call('POST', '/revocations', { client_id: 'watcher' }),
      () => server.call('PATCH', '/clients/watcher', { disabled: true }),
    ]) {
      server.advance(1)
      const { client_secret } = (await server.call('POST', '/clients/watcher/secrets')).body
      token = await server.tokenFor('watcher', client_secret)
      const stream = received(await open('?type=none'))
      await end()
      expect((await stream.next()).done).toBe(true)
    }
    await server.call('PATCH', '/clients/watcher', { disabled: false })
    server.advance(1)
    const { client_secret } = (await server.call('POST', '/clients/watcher/secrets')).body
    token = await server.tokenFor('watcher', client_secret)
    const stream = received(await open('?type=none'))
    server.advance(3601)
    expect((await stream.next()).done).toBe(true)
  })

  it('ends when the server shuts down, which does not wait for its readers', async () => {
    const stream = received(await open())
    const startedAt = performance.now()
    await server.app.close()
    expect((await stream.next()).done).toBe(true)
    expect(performance.now() - startedAt).toBeLessThan(5_000)
  })

  it('keeps its number within bounds, and lets in the next when one leaves', async () => {
    const responses = await Promise.all(Array.from({ length: 50 }, () => open('?type=none')))
    expect(new Set(responses.map(({ status }) => status))).toEqual(new Set([200]))
    const refused = await open()
    expect(refused.status).toBe(503)
    expect(refused.headers.get('retry-after')).toBeTruthy()
    await responses[0]?.body?.cancel()
    await expect.poll(async () => (await open()).status, { timeout: 5_000, interval: 100 }).toBe(200)
  })

  it('refuses a cursor that is none, before it streams', async () => {
    expect((await open('', { 'last-event-id': 'nonsense' })).status).toBe(422)
    expect((await open('', { authorization: 'Bearer nonsense' })).status).toBe(401)
  })
})

async function* received(response: Response): AsyncGenerator<Received> {
  let text = ''
  const decoder = new TextDecoder()
  for await (const chunk of response.body ?? []) {
    text += decoder.decode(chunk as Uint8Array, { stream: true })
    const blocks = text.split('\n\n')
    text = blocks.pop() ?? ''
    for (const block of blocks) {
      const id = /^id: (.*)$/m.exec(block)?.[1]
      const data = /^data: (.*)$/m.exec(block)?.[1]
      if (id !== undefined && data !== undefined) yield { id, event: JSON.parse(data) }
    }
  }
}

async function next(stream: AsyncGenerator<Received>): Promise<Received> {
  const { value, done } = await stream.next()
  if (done) throw new Error('the stream ended')
  return value
}
