import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, describe, expect, it } from 'vitest'
import { type Authority, openAuthority } from '../authority.ts'
import { createJoinToken } from '../nodes/manage-join-tokens.ts'
import { banNode, evictNode } from '../nodes/manage-nodes.ts'
import { createEntry, deleteEntry, updateEntry } from '../registration-entries/manage-entries.ts'
import { createMasterKey, generateMasterKey } from '../sealing/master-key.ts'
import type { WorkloadIdentity } from '../workload-identity.ts'
import { backupStore } from './backup.ts'
import { openStore } from './open.ts'
import { restoreStore } from './restore.ts'
import type { Store } from './store.ts'
import { freshDatabase } from './stores.fixture.ts'

const kinds: Store['kind'][] = process.env.COUNTERSIGN_TEST_POSTGRES_URL ? ['sqlite', 'postgres'] : ['sqlite']
const masterKey = createMasterKey(generateMasterKey())
const domain = 'example.org'
const agent = (name: string) => `spiffe://${domain}/spire/agent/x509pop/${name}`

const closing: (() => Promise<unknown>)[] = []
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close()
})

describe.each(kinds)('a backup of a server with workloads, restored into %s', (kind) => {
  it('has every node attest itself again, keeps bans, and sends entries on', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'countersign-restore-'))
    closing.push(async () => rmSync(folder, { recursive: true }))
    const database = await freshDatabase(kind)
    closing.push(() => database.drop())
    const file = join(folder, 'store.backup')
    const open = () =>
      openAuthority({
        issuer: 'https://a.example',
        databaseUrl: database.url,
        masterKey,
        spiffe: { trustDomain: domain },
      })

    let authority = await open()
    for (const name of ['stays', 'banned', 'evicted']) await attest(authority, name)
    const selectors = [{ type: 'unix', value: 'uid:1' }]
    const make = (name: string) =>
      createEntry(
        { spiffeId: `spiffe://${domain}/${name}`, parentId: agent('stays'), selectors },
        domain,
        authority,
        {},
      )
    const [kept, dropped] = [await make('kept'), await make('dropped')]
    await backupStore(authority.store, file, masterKey, authority.now)

    const changed = await updateEntry(kept.id, { hint: 'later' }, domain, authority, {})
    await deleteEntry(dropped.id, authority, {})
    await banNode(agent('banned'), authority, {})
    await evictNode(agent('evicted'), authority, {})
    const makeToken = async () => (await createJoinToken({ ttlSeconds: 600 }, authority, {})).token
    const [token, spent] = [await makeToken(), await makeToken()]
    await joinBy(spent, authority)
    await joinBy(spent, authority)
    await authority.close()

    const store = await openStore(database.url)
    const { warnings } = await restoreStore(store, file, { masterKey, replace: true })
    await store.close()
    expect(warnings.join('\n')).toContain('every node must attest itself again')

    authority = await open()
    closing.push(() => authority.close())
    const { nodes, entries } = authority.workloadIdentity as WorkloadIdentity
    expect(await nodes.use(agent('stays'), 'aa')).toBe('AGENT_MUST_REATTEST')
    expect(await nodes.use(agent('stays'), '')).toBe('AGENT_MUST_REATTEST')
    expect(await nodes.use(agent('evicted'), 'aa')).toBe('AGENT_MUST_REATTEST')
    expect(await nodes.use(agent('banned'), 'aa')).toBe('AGENT_BANNED')
    await attest(authority, 'stays')
    expect(await nodes.use(agent('stays'), 'aa')).toBe('good')
    await expect(attest(authority, 'banned')).rejects.toMatchObject({ standing: 'AGENT_BANNED' })
    for (const each of [token, spent]) await expect(joinBy(each, authority)).rejects.toThrow('join token')
    expect(entries.index.get(kept.id)?.revisionNumber).toBeGreaterThan(changed.revision_number)
    expect(entries.index.get(dropped.id)).toBeDefined()
  })
})

/** Each time as the same agent, which has lost the answer. */
async function joinBy(token: string, { workloadIdentity, now }: Authority): Promise<void> {
  const { nodes, nodeAttestors } = workloadIdentity as WorkloadIdentity
  const node = await nodeAttestors[0]!.attest(Buffer.from(token), async () => Buffer.alloc(0), Buffer.from('key'))
  await nodes.attested({ ...node, type: 'join_token', serialNumber: 'bb', notAfter: now() + 3600 })
}

function attest({ workloadIdentity, now }: Authority, name: string): Promise<void> {
  return (workloadIdentity as WorkloadIdentity).nodes.attested({
    id: agent(name),
    type: 'x509pop',
    selectors: [],
    serialNumber: 'aa',
    notAfter: now() + 3600,
    reattestable: true,
  })
}
