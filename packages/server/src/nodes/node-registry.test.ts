import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest'
import { type AdminApiUnderTest, openAdminApi } from '../admin/admin-api.fixture.ts'
import { describeStores } from '../storage/stores.fixture.ts'
import { banNode, evictNode } from './manage-nodes.ts'
import type { NodeRegistry } from './node-registry.ts'

const hour = 3600
let number = 0

describeStores('the registry of nodes', (kind) => {
  let server: AdminApiUnderTest
  let nodes: NodeRegistry
  let id: string
  let now: () => number

  beforeAll(async () => {
    server = await openAdminApi({ kind, spiffe: { trustDomain: 'example.org' } })
    nodes = server.authority.workloadIdentity?.nodes as NodeRegistry
    now = server.authority.now
  })
  afterAll(() => server.close())
  beforeEach(() => {
    number += 1
    id = `spiffe://example.org/spire/agent/x509pop/${number}`
  })

  const attest = (serialNumber: string, reattestable = false) =>
    nodes.attested({
      id,
      type: 'x509pop',
      selectors: [{ type: 'x509pop', value: 'subject:cn:node-1' }],
      serialNumber,
      notAfter: now() + hour,
      reattestable,
      address: '192.0.2.7',
    })
  const renew = (newSerial: string, usedSerial?: string) =>
    nodes.renewed({ id, newSerial, notAfter: now() + hour, usedSerial })
  const events = async (type: string) =>
    (await server.call('GET', `/audit-events?type=${type}&limit=1`)).body.items as { target: string }[]

  it('knows nobody who has not attested himself', async () => {
    expect(await nodes.use(id, 'aa')).toBe('AGENT_NOT_ATTESTED')
    expect(await nodes.get(id)).toBeUndefined()
  })

  it('lets an agent in with the SVID that it got, and with no other', async () => {
    await attest('aa')
    expect(await nodes.use(id, 'aa')).toBe('good')
    for (const serial of ['bb', '', 'AA', 'aaa']) expect(await nodes.use(id, serial)).toBe('AGENT_NOT_ACTIVE')
    expect(await nodes.get(id)).toMatchObject({ attestationType: 'x509pop', attestedAt: expect.any(Number) })
    expect((await events('node.attested'))[0]).toMatchObject({
      target: `node/${id}`,
      method: 'x509pop',
      address: '192.0.2.7',
      detail: { serial_number: 'aa', selectors: ['x509pop:subject:cn:node-1'] },
    })
  })

  it('lets nobody in whose SVID has expired', async () => {
    await attest('aa')
    server.advance(hour)
    expect(await nodes.use(id, 'aa')).toBe('AGENT_EXPIRED')
    await server.renewRootToken()
  })

  it('keeps both SVIDs good after a renewal, until the new one is used', async () => {
    await attest('aa')
    await renew('bb', 'aa')
    expect(await nodes.use(id, 'aa')).toBe('good')
    expect(await nodes.use(id, 'aa')).toBe('good')
    expect(await nodes.use(id, 'bb')).toBe('good')
    expect(await nodes.use(id, 'aa')).toBe('AGENT_NOT_ACTIVE')
    expect(await nodes.use(id, 'bb')).toBe('good')
    expect(await nodes.get(id)).toMatchObject({ serialNumber: 'bb' })
    expect((await nodes.get(id))?.renewed).toBeUndefined()
    expect(await events('node.renewed')).toMatchObject([{ target: `node/${id}`, detail: { serial_number: 'bb' } }])
  })

  it('ends the old one once, when a hundred calls come with the new one at once', async () => {
    await attest('aa')
    await renew('bb', 'aa')
    const uses = await Promise.all(Array.from({ length: 100 }, () => nodes.use(id, 'bb')))
    expect(new Set(uses)).toEqual(new Set(['good']))
    expect(await nodes.use(id, 'aa')).toBe('AGENT_NOT_ACTIVE')
  })

  it('keeps the last of several renewals', async () => {
    await attest('aa')
    await renew('bb', 'aa')
    await renew('cc', 'aa')
    expect(await nodes.use(id, 'bb')).toBe('AGENT_NOT_ACTIVE')
    expect(await nodes.use(id, 'cc')).toBe('good')
  })

  it('renews nothing for an SVID that was replaced, an agent that can attest again, or nobody', async () => {
    await expect(renew('bb')).rejects.toMatchObject({ standing: 'AGENT_NOT_ATTESTED' })
    await attest('aa')
    await renew('bb', 'aa')
    await nodes.use(id, 'bb')
    await expect(renew('cc', 'aa')).rejects.toMatchObject({ standing: 'AGENT_NOT_ACTIVE' })
    await attest('dd', true)
    await expect(renew('ee', 'dd')).rejects.toMatchObject({ standing: 'AGENT_MUST_REATTEST' })
    server.advance(hour)
    await attest('ff')
    server.advance(hour)
    await expect(renew('gg', 'ff')).rejects.toMatchObject({ standing: 'AGENT_EXPIRED' })
    await server.renewRootToken()
  })

  it('ends every SVID of before when a node attests itself again', async () => {
    await attest('aa')
    await renew('bb', 'aa')
    await attest('cc')
    for (const old of ['aa', 'bb']) expect(await nodes.use(id, old)).toBe('AGENT_NOT_ACTIVE')
    expect(await nodes.use(id, 'cc')).toBe('good')
  })

  it('gives a banned node nothing, not even by attesting itself again', async () => {
    await attest('aa')
    await renew('bb', 'aa')
    expect(await nodes.use(id, 'aa')).toBe('good')
    await banNode(id, server.authority, {})
    for (const serial of ['aa', 'bb', 'cc']) expect(await nodes.use(id, serial)).toBe('AGENT_BANNED')
    await expect(attest('dd')).rejects.toMatchObject({ name: 'NodeRefused', standing: 'AGENT_BANNED' })
    await expect(renew('ee', 'aa')).rejects.toMatchObject({ standing: 'AGENT_BANNED' })
    expect(await nodes.use(id, 'dd')).toBe('AGENT_BANNED')
    expect((await events('node.attested'))[0]).toMatchObject({ detail: { serial_number: 'aa' } })
    const [banned] = await events('node.banned')
    await banNode(id, server.authority, {})
    expect(await events('node.banned')).toEqual([banned])
  })

  it('forgets an evicted node, banned or not, which may attest itself again', async () => {
    await attest('aa')
    await banNode(id, server.authority, {})
    await evictNode(id, server.authority, {})
    expect(await nodes.use(id, 'aa')).toBe('AGENT_NOT_ATTESTED')
    await expect(evictNode(id, server.authority, {})).rejects.toMatchObject({ code: 'not_found' })
    await attest('bb')
    expect(await nodes.use(id, 'bb')).toBe('good')
  })

  it('sends a node whose serial number was taken away to attest itself again', async () => {
    await attest('aa')
    const { database } = server.authority.store
    await database.updateTable('nodes').set({ serial_number: '' }).where('id', '=', id).execute()
    nodes = new (nodes.constructor as typeof NodeRegistry)(server.authority)
    for (const serial of ['aa', '']) expect(await nodes.use(id, serial)).toBe('AGENT_MUST_REATTEST')
  })

  it('answers for a node that it knows without asking the store, and never refuses one so', async () => {
    await attest('aa')
    await nodes.use(id, 'aa')
    const reads = countReads(server)
    for (let call = 0; call < 100; call++) await nodes.use(id, 'aa')
    expect(reads()).toBe(0)
    await nodes.use(id, 'bb')
    expect(reads()).toBe(1)
  })

  it('notes what version an agent says it has, cut to what is plain', async () => {
    await attest('aa')
    await nodes.reportVersion(id, `1.2.3\n${'x'.repeat(300)}\0`)
    const row = await server.call('GET', `/nodes/${encodeURIComponent(id)}`)
    expect(row.body.agent_version).toBe(`1.2.3${'x'.repeat(250)}`)
  })
})

function countReads(server: AdminApiUnderTest): () => number {
  let reads = 0
  const { database } = server.authority.store
  const original = database.selectFrom.bind(database)
  ;(database as { selectFrom: unknown }).selectFrom = (...args: Parameters<typeof original>) => {
    reads += 1
    return original(...args)
  }
  return () => reads
}
