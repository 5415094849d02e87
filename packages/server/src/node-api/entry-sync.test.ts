import {
  type SyncAuthorizedEntriesRequest,
  SyncAuthorizedEntriesResponse,
} from '@countersign/spiffe/protocol/spire-entry'
import { EntryMask } from '@countersign/spiffe/protocol/spire-types'
import { expect, it } from 'vitest'
import type { RegistrationEntry } from '../registration-entries/registration-entry.ts'
import { syncEntries } from './entry-sync.ts'

/** What SPIRE's agent asks for. */
const agentsMask = EntryMask.fromPartial({
  spiffeId: true,
  selectors: true,
  federatesWith: true,
  admin: true,
  downstream: true,
  revisionNumber: true,
  storeSvid: true,
  hint: true,
  additionalAttributes: true,
  createdAt: true,
})

function entries(count: number, change: Partial<RegistrationEntry> = {}): RegistrationEntry[] {
  return Array.from({ length: count }, (_, index) => ({
    id: `entry-${String(index).padStart(5, '0')}`,
    spiffeId: `spiffe://example.org/w/${index}`,
    parentId: 'spiffe://example.org/spire/agent/x509pop/1',
    selectors: [{ type: 'unix', value: `uid:${index}` }],
    x509SvidTtlSeconds: 60,
    jwtSvidTtlSeconds: 30,
    dnsNames: ['a.example'],
    hint: 'h',
    federatesWith: ['other.example'],
    admin: false,
    downstream: false,
    storeSvid: false,
    policy: { notRoot: true },
    revisionNumber: 3,
    createdAt: 1_795_000_000,
    updatedAt: 1_795_000_001,
    ...change,
  }))
}

const ask = (ids: string[] = [], outputMask?: EntryMask): SyncAuthorizedEntriesRequest => ({ ids, outputMask })

/** The whole call: what the client sends, and what it gets. */
async function sync(
  requests: SyncAuthorizedEntriesRequest[],
  all: RegistrationEntry[],
  withPolicies = false,
): Promise<SyncAuthorizedEntriesResponse[]> {
  const responses: SyncAuthorizedEntriesResponse[] = []
  const next = async () => requests.shift()
  await syncEntries(
    next,
    async (response) => void responses.push(SyncAuthorizedEntriesResponse.decode(response)),
    () => ({ entries: all, withPolicies }),
  )
  return responses
}

it('sends few entries whole, in one message', async () => {
  const [only, ...more] = await sync([ask([], agentsMask)], entries(500))
  expect(more).toEqual([])
  expect(only).toMatchObject({ more: false, entryRevisions: [] })
  expect(only?.entries).toHaveLength(500)
  expect(only?.entries[7]).toMatchObject({
    id: 'entry-00007',
    spiffeId: { trustDomain: 'example.org', path: '/w/7' },
    selectors: [{ type: 'unix', value: 'uid:7' }],
    revisionNumber: 3,
    createdAt: 1_795_000_000,
    federatesWith: ['other.example'],
    hint: 'h',
  })
})

it('says that there are no entries by a message without any', async () => {
  expect(await sync([ask([], agentsMask)], [])).toEqual([{ entries: [], entryRevisions: [], more: false }])
})

it('sends what is asked for and nothing else; all without a mask', async () => {
  const [masked] = await sync([ask([], agentsMask)], entries(1))
  expect(masked?.entries[0]).toMatchObject({ x509SvidTtl: 0, jwtSvidTtl: 0, dnsNames: [], parentId: undefined })
  const [all] = await sync([ask()], entries(1))
  expect(all?.entries[0]).toMatchObject({ x509SvidTtl: 60, jwtSvidTtl: 30, dnsNames: ['a.example'] })
})

it('tells of policies those who can enforce them', async () => {
  const [spire] = await sync([ask()], entries(1))
  expect(spire?.entries[0]?.policy).toBeUndefined()
  const [ours] = await sync([ask()], entries(1), true)
  expect(ours?.entries[0]?.policy).toEqual({ binarySha256: [], notRoot: true, nodeAttestedWithinSeconds: 0 })
})

it('sends the revisions of many by pages, then the entries that are asked for', async () => {
  const all = entries(1_201)
  const [first, second, third, page, none, ...more] = await sync(
    [ask([], agentsMask), ask(['entry-00003', 'entry-01200', 'entry-00003']), ask(['gone', 'away'])],
    all,
  )
  expect([first?.more, second?.more, third?.more]).toEqual([true, true, false])
  const revisions = [first, second, third].flatMap((each) => each?.entryRevisions ?? [])
  expect(revisions).toHaveLength(1_201)
  expect(revisions[1_200]).toEqual({ id: 'entry-01200', revisionNumber: 3, createdAt: 1_795_000_000 })
  expect([first, second, third].flatMap((each) => each?.entries ?? [])).toEqual([])
  expect(page?.entries.map(({ id }) => id)).toEqual(['entry-00003', 'entry-01200'])
  expect(page).toMatchObject({ more: false, entryRevisions: [] })
  // Silence would have the agent wait for ever.
  expect(none).toEqual({ entries: [], entryRevisions: [], more: false })
  expect(more).toEqual([])
})

it('keeps each message below the 4 MiB that go-grpc takes, however large the entries', async () => {
  const all = entries(400, {
    dnsNames: Array.from({ length: 200 }, (_, index) => `${'a'.repeat(60)}.${index}.example`),
  })
  const ids = all.map(({ id }) => id)
  const [revisions, ...pages] = await sync([ask(), ask(ids)], all)
  expect(revisions?.entryRevisions).toHaveLength(400)
  expect(pages.length).toBeGreaterThan(1)
  expect(pages.map(({ more }) => more)).toEqual([...pages.slice(1).map(() => true), false])
  expect(pages.flatMap(({ entries }) => entries.map(({ id }) => id))).toEqual(ids)
  for (const page of pages) {
    expect(SyncAuthorizedEntriesResponse.encode(page).finish().length).toBeLessThan(4 * 1024 * 1024)
  }
})

it.each<[string, SyncAuthorizedEntriesRequest[], number]>([
  ['a first message that names entries', [ask(['a'])], 0],
  ['a mask without the revision number', [ask([], { ...agentsMask, revisionNumber: false })], 0],
  ['a page that is too long', [ask(), ask(Array.from({ length: 501 }, (_, index) => `entry-${index}`))], 501],
  ['no message at all', [], 0],
])('refuses %s', async (_what, requests, count) => {
  await expect(sync(requests, entries(count))).rejects.toMatchObject({ code: 3 })
})
