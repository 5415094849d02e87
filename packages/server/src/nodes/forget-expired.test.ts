import { expect, it } from 'vitest'
import { openAdminApi } from '../admin/admin-api.fixture.ts'
import { describeStores } from '../storage/stores.fixture.ts'
import type { WorkloadIdentity } from '../workload-identity.ts'
import { forgetExpired } from './forget-expired.ts'

const day = 86_400
const agent = (name: string) => `spiffe://example.org/spire/agent/x509pop/${name}`

describeStores('what has expired', (kind) => {
  it('goes a day later, and nodes 30 days later, but for those that are banned or came back', async () => {
    const server = await openAdminApi({ kind, spiffe: { trustDomain: 'example.org' } })
    const { authority } = server
    const { nodes } = authority.workloadIdentity as WorkloadIdentity
    const attest = (name: string) =>
      nodes.attested({
        id: agent(name),
        type: 'x509pop',
        selectors: [],
        serialNumber: 'aa',
        notAfter: authority.now() + 3600,
        reattestable: false,
      })
    const create = (name: string, expiresIn?: number) =>
      server.call('POST', '/entries', {
        spiffe_id: `spiffe://example.org/${name}`,
        parent_id: agent('a'),
        selectors: ['unix:uid:1'],
        ...(expiresIn && { expires_at: new Date((authority.now() + expiresIn) * 1000).toISOString() }),
      })
    for (const name of ['gone', 'banned', 'renewed']) await attest(name)
    await server.call('POST', '/nodes/ban', { spiffe_id: agent('banned') })
    await create('short', 60)
    await create('long', 40 * day)
    await create('endless')

    const left = async () => {
      await server.renewRootToken()
      await Promise.all([forgetExpired(authority), forgetExpired(authority)])
      const entries = (await server.call('GET', '/entries')).body.items as { spiffe_id: string }[]
      const known = (await server.call('GET', '/nodes')).body.items as { spiffe_id: string }[]
      return [...entries, ...known].map(({ spiffe_id }) => spiffe_id.split('/').at(-1)).sort()
    }
    expect(await left()).toEqual(['banned', 'endless', 'gone', 'long', 'renewed', 'short'])
    server.advance(day)
    expect(await left()).toEqual(['banned', 'endless', 'gone', 'long', 'renewed', 'short'])
    server.advance(3600)
    expect(await left()).toEqual(['banned', 'endless', 'gone', 'long', 'renewed'])
    server.advance(29 * day)
    await attest('renewed')
    server.advance(3600)
    expect(await left()).toEqual(['banned', 'endless', 'long', 'renewed'])
    const events = (await server.call('GET', '/audit-events?limit=200')).body.items
    const told = events.filter(({ type }: { type: string }) => ['entry.deleted', 'node.evicted'].includes(type))
    expect(told).toMatchObject([
      { type: 'node.evicted', target: `node/${agent('gone')}`, detail: { expired: true } },
      { type: 'entry.deleted', detail: { spiffe_id: 'spiffe://example.org/short', expired: true } },
    ])
    await server.close()
  })
})
