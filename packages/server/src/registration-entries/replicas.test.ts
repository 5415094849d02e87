import { afterAll, beforeAll, expect, it } from 'vitest'
import { type Authority, openAuthority } from '../authority.ts'
import { createJoinToken } from '../nodes/manage-join-tokens.ts'
import { banNode } from '../nodes/manage-nodes.ts'
import { createMasterKey, generateMasterKey } from '../sealing/master-key.ts'
import { announce } from '../storage/change-feed.ts'
import { eventually } from '../storage/services.fixture.ts'
import { describePostgres, type FreshDatabase, freshDatabase } from '../storage/stores.fixture.ts'
import type { WorkloadIdentity } from '../workload-identity.ts'
import { createEntry, deleteEntry, updateEntry } from './manage-entries.ts'

const domain = 'example.org'
const agent = `spiffe://${domain}/spire/agent/x509pop/a`

describePostgres('two replicas on one PostgreSQL', () => {
  let fresh: FreshDatabase
  let one: Authority
  let other: Authority

  beforeAll(async () => {
    fresh = await freshDatabase('postgres')
    const masterKey = createMasterKey(generateMasterKey())
    const open = () =>
      openAuthority({ issuer: 'https://a.example', databaseUrl: fresh.url, masterKey, spiffe: { trustDomain: domain } })
    one = await open()
    other = await open()
  })
  afterAll(async () => {
    await one?.close()
    await other?.close()
    await fresh?.drop()
  })

  const identityOf = ({ workloadIdentity }: Authority) => workloadIdentity as WorkloadIdentity
  const known = (authority: Authority) => {
    const now = authority.now()
    const options = { workloadPolicies: true, attestedAt: now, now }
    const entries = identityOf(authority).entries.index.authorizedEntries({ id: agent, selectors: [] }, options)
    return entries.map(({ id, revisionNumber }) => `${id} ${revisionNumber}`).sort()
  }
  const create = (authority: Authority, name: string) =>
    createEntry(
      { spiffeId: `spiffe://${domain}/${name}`, parentId: agent, selectors: [{ type: 'unix', value: 'uid:1' }] },
      domain,
      authority,
      {},
    )
  const attest = (authority: Authority, serialNumber: string) =>
    identityOf(authority).nodes.attested({
      id: agent,
      type: 'x509pop',
      selectors: [],
      serialNumber,
      notAfter: authority.now() + 3600,
      reattestable: false,
    })

  it('soon know the entries that the other made, changed and deleted', async () => {
    const { id } = await create(one, 'web')
    expect(known(one)).toEqual([`${id} 0`])
    await eventually(() => known(other)[0] === `${id} 0`)
    await updateEntry(id, { hint: 'a' }, domain, other, {})
    expect(known(other)).toEqual([`${id} 1`])
    await eventually(() => known(one)[0] === `${id} 1`)
    await deleteEntry(id, one, {})
    expect(known(one)).toEqual([])
    await eventually(() => known(other).length === 0)
  })

  it('know the same after both have changed much at once', async () => {
    const made = await Promise.all(
      Array.from({ length: 60 }, (_, number) => create(number % 2 ? one : other, `many-${number}`)),
    )
    await Promise.all(
      made.map(({ id }, number) => {
        if (number % 3 === 0) return deleteEntry(id, number % 2 ? other : one, {})
        return updateEntry(id, { hint: 'b' }, domain, number % 2 ? other : one, {})
      }),
    )
    await eventually(() => known(one).length === 40 && JSON.stringify(known(one)) === JSON.stringify(known(other)))
    expect(known(one).every((text) => text.endsWith(' 1'))).toBe(true)
    for (const { id } of made) await deleteEntry(id, one, {}).catch(() => {})
  })

  it('read everything anew when the feed has a gap, and keep what did not change', async () => {
    const { id } = await create(one, 'kept')
    const gone = await create(one, 'gone')
    await eventually(() => known(other).length === 2)
    const object = identityOf(other).entries.index.get(id)
    await one.store.transaction(async (transaction) => {
      await transaction.deleteFrom('registration_entries').where('id', '=', gone.id).execute()
      await announce(transaction, one.store, { kind: 'api', id: '', at: 0 })
      await announce(transaction, one.store, { kind: 'api', id: '', at: 0 })
      await transaction.deleteFrom('changes').execute()
    })
    await eventually(() => known(other).length === 1)
    expect(identityOf(other).entries.index.get(id)).toBe(object)
    await deleteEntry(id, one, {})
  })

  it('let an agent in that attested itself at the other a moment ago', async () => {
    await attest(one, 'aa')
    expect(await identityOf(other).nodes.use(agent, 'aa')).toBe('good')
    await attest(one, 'bb')
    expect(await identityOf(other).nodes.use(agent, 'bb')).toBe('good')
    await identityOf(one).nodes.renewed({ id: agent, newSerial: 'cc', notAfter: one.now() + 60 })
    expect(await identityOf(other).nodes.use(agent, 'cc')).toBe('good')
    expect(await identityOf(other).nodes.use(agent, 'bb')).toBe('AGENT_NOT_ACTIVE')
    await eventually(async () => (await identityOf(one).nodes.use(agent, 'bb')) === 'AGENT_NOT_ACTIVE')
  })

  it('soon refuse a node that the other has banned', async () => {
    await attest(one, 'dd')
    expect(await identityOf(other).nodes.use(agent, 'dd')).toBe('good')
    await banNode(agent, one, {})
    expect(await identityOf(one).nodes.use(agent, 'dd')).toBe('AGENT_BANNED')
    await eventually(async () => (await identityOf(other).nodes.use(agent, 'dd')) === 'AGENT_BANNED')
    await expect(attest(other, 'ee')).rejects.toMatchObject({ standing: 'AGENT_BANNED' })
  })

  it('let one agent join by a token that a hundred present to both at once', async () => {
    for (const spiffeId of [undefined, `spiffe://${domain}/rack`]) {
      const { token } = await createJoinToken({ ttlSeconds: 60, spiffeId }, one, {})
      const answers = await Promise.allSettled(
        Array.from({ length: 100 }, async (_, index) => {
          const { nodeAttestors, nodes } = identityOf(index % 2 ? one : other)
          const key = Buffer.from(`key ${index}`)
          const node = await nodeAttestors[0]!.attest(Buffer.from(token), async () => Buffer.alloc(0), key)
          await nodes.attested({ ...node, type: 'join_token', serialNumber: 'aa', notAfter: one.now() + 3600 })
        }),
      )
      expect(answers.filter(({ status }) => status === 'fulfilled')).toHaveLength(1)
    }
  })
})
