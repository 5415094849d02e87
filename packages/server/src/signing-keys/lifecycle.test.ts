import { createPrivateKey } from 'node:crypto'
import type { SigningAlgorithm } from '@countersign/tokens'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { AuditLog } from '../audit/log.ts'
import { createMasterKey, generateMasterKey } from '../sealing/master-key.ts'
import { ChangeFeed } from '../storage/change-feed.ts'
import { openStore } from '../storage/open.ts'
import type { Store } from '../storage/store.ts'
import { describeStores, type FreshDatabase, freshDatabase } from '../storage/stores.fixture.ts'
import { KeyRing } from './key-ring.ts'
import {
  ensureSigningKey,
  type LifecycleContext,
  longestTokenLifetimeSeconds,
  revokeSigningKey,
  rotateSigningKey,
  tendSigningKeys,
} from './lifecycle.ts'

const hour = 3600
const day = 24 * hour
const start = 1_800_000_000

interface Replica {
  context: LifecycleContext
  ring: KeyRing
  store: Store
  feed: ChangeFeed
  errors: unknown[]
}

let clock: number
let fresh: FreshDatabase
let replicas: Replica[]
const masterKey = createMasterKey(generateMasterKey())

async function openReplica(): Promise<Replica> {
  const store = await openStore(fresh.url)
  const feed = new ChangeFeed(store)
  const errors: unknown[] = []
  const ring = new KeyRing({ store, feed, masterKey, onError: (error) => errors.push(error) })
  await feed.start()
  const audit = new AuditLog({ store, key: masterKey.auditKey, chain: `replica-${replicas.length}` })
  const context = { store, masterKey, audit, now: () => clock, rotationSeconds: 30 * day, publishAheadSeconds: 7 * day }
  const replica = { context, ring, store, feed, errors }
  replicas.push(replica)
  return replica
}

async function open(kind: Store['kind']): Promise<void> {
  clock = start
  replicas = []
  fresh = await freshDatabase(kind)
  const first = await openReplica()
  await ensureSigningKey('ES256', first.context)
  await first.ring.load()
}

async function close(): Promise<void> {
  for (const { feed, store } of replicas) {
    await feed.stop()
    await store.close()
  }
  await fresh.drop()
}

const one = () => replicas[0] as Replica

/** Tends, as the server does every minute, and gives what is published as status by kid. */
async function tend(replica: Replica = one()): Promise<Record<string, string>> {
  await tendSigningKeys(replica.context)
  return published(replica)
}

async function published(replica: Replica = one()): Promise<Record<string, string>> {
  await replica.feed.catchUp()
  return Object.fromEntries(replica.ring.published.map(({ kid, status }) => [kid, status]))
}

const withStatus = (keys: Record<string, string>, status: string) =>
  Object.keys(keys).filter((kid) => keys[kid] === status)

/** Goes through time an hour at a time, tending as it goes. */
async function pass(seconds: number): Promise<Record<string, string>> {
  const until = clock + seconds
  while (clock < until) {
    clock = Math.min(until, clock + 6 * hour)
    await tendSigningKeys(one().context)
  }
  return published()
}

async function events(type: string): Promise<number> {
  const rows = await one().store.database.selectFrom('audit_events').select('type').where('type', '=', type).execute()
  return rows.length
}

function signsWith(replica: Replica, algorithm: SigningAlgorithm = 'ES256'): string | undefined {
  return replica.ring.signerFor(algorithm).kid
}

describeStores('the life of a signing key', (kind) => {
  beforeEach(() => open(kind))
  afterEach(close)

  it('begins with one active key, and nothing more is done for three weeks', async () => {
    const [kid] = withStatus(await published(), 'active')
    expect(await pass(23 * day - 1)).toEqual({ [kid as string]: 'active' })
  })

  it('publishes the next key a week before it signs, and rotates after 30 days', async () => {
    const [first] = withStatus(await published(), 'active') as [string]
    const ahead = await pass(23 * day)
    const [next] = withStatus(ahead, 'next') as [string]
    expect(ahead).toEqual({ [first]: 'active', [next]: 'next' })
    expect(signsWith(one())).toBe(first)

    expect(await pass(7 * day - 1)).toEqual({ [first]: 'active', [next]: 'next' })
    expect(await pass(1)).toEqual({ [first]: 'retired', [next]: 'active' })
    expect(signsWith(one())).toBe(next)
  })

  it('keeps a retired key published until the last token it signed has died, and not longer than an hour after', async () => {
    const [first] = withStatus(await published(), 'active') as [string]
    await rotateSigningKey('ES256', one().context)
    clock += longestTokenLifetimeSeconds
    expect((await tend())[first]).toBe('retired')
    clock += hour + 1
    expect(await tend()).not.toHaveProperty(first)
  })

  it('gives a key that was published late its week, however old the active one is', async () => {
    clock += 40 * day
    const late = await tend()
    const [first] = withStatus(late, 'active') as [string]
    const [next] = withStatus(late, 'next') as [string]
    clock += 7 * day - 1
    expect(await tend()).toEqual({ [first]: 'active', [next]: 'next' })
    clock += 1
    expect((await tend())[next]).toBe('active')
  })

  it('rotates on demand to the key that was published ahead, or else to a new one', async () => {
    const [next] = withStatus(await pass(24 * day), 'next')
    expect(await rotateSigningKey('ES256', one().context)).toBe(next)
    const fresh = await rotateSigningKey('ES256', one().context)
    expect(fresh).not.toBe(next)
    await published()
    expect(signsWith(one())).toBe(fresh)
  })

  it('revokes at once: the key is not published, another signs, and the revocation is in the feed', async () => {
    const [first] = withStatus(await published(), 'active') as [string]
    expect(await revokeSigningKey(first, one().context)).toBe(true)
    const after = await published()
    expect(after).not.toHaveProperty(first)
    expect(withStatus(after, 'active')).toEqual([signsWith(one())])
    const row = await one().store.database.selectFrom('revocations').selectAll().executeTakeFirst()
    expect(row).toMatchObject({ kid: first, audience: null })
    expect(row?.expires_at).toBeGreaterThan(clock + longestTokenLifetimeSeconds)
  })

  it('keeps nothing of the private half of a revoked key, and never lets it sign again', async () => {
    const [first] = withStatus(await published(), 'active') as [string]
    await revokeSigningKey(first, one().context)
    const row = await one()
      .store.database.selectFrom('signing_keys')
      .selectAll()
      .where('kid', '=', first)
      .executeTakeFirst()
    expect(row).toMatchObject({ status: 'revoked', sealed_private_key: '' })
    await pass(60 * day)
    expect(signsWith(one())).not.toBe(first)
  })

  it('revokes only once, and an unknown key not at all', async () => {
    const [first] = withStatus(await published(), 'active') as [string]
    const answers = await Promise.all([1, 2, 3].map(() => revokeSigningKey(first, one().context)))
    expect(answers.filter(Boolean)).toHaveLength(1)
    expect(await revokeSigningKey('nobody', one().context)).toBe(false)
    expect(await one().store.database.selectFrom('revocations').selectAll().execute()).toHaveLength(1)
    expect(await events('signing_key.revoked')).toBe(1)
  })

  it('rotates each algorithm by itself', async () => {
    clock += 10 * day
    await ensureSigningKey('EdDSA', one().context)
    await pass(21 * day)
    expect(
      await one()
        .store.database.selectFrom('signing_keys')
        .select(['algorithm', 'status'])
        .orderBy('algorithm')
        .orderBy('status')
        .execute(),
    ).toEqual([
      { algorithm: 'ES256', status: 'active' },
      { algorithm: 'ES256', status: 'retired' },
      { algorithm: 'EdDSA', status: 'active' },
    ])
  })

  it('does nothing while the clock is stepped back, and goes on where it was', async () => {
    const [next] = withStatus(await pass(24 * day), 'next') as [string]
    const before = await published()
    clock -= 20 * day
    expect(await tend()).toEqual(before)
    expect(await events('signing_key.published')).toBe(1)
    clock += 20 * day
    expect((await pass(6 * day))[next]).toBe('active')
  })

  it('needs a week of the clock to rotate even when it jumps a year ahead, and survives the way back', async () => {
    const [first] = withStatus(await published(), 'active') as [string]
    clock += 365 * day
    expect((await tend())[first]).toBe('active')
    expect((await tend())[first]).toBe('active')
    clock -= 365 * day
    const keys = await pass(10 * day)
    expect(withStatus(keys, 'active')).toEqual([first])
  })

  it('records every step once, with the key that it was about', async () => {
    await pass(32 * day)
    const rows = await one()
      .store.database.selectFrom('audit_events')
      .select(['type', 'event'])
      .orderBy('sequence')
      .execute()
    expect(rows.map(({ type }) => type)).toEqual([
      'signing_key.created',
      'signing_key.published',
      'signing_key.rotated',
      'signing_key.deleted',
    ])
    const targets = rows.map(({ event }) => JSON.parse(event).target)
    expect(targets[2]).toBe(targets[0])
    expect(targets[3]).toBe(targets[0])
  })

  it('seals the private half: neither the key nor its parts stand in the database', async () => {
    const row = await one().store.database.selectFrom('signing_keys').selectAll().executeTakeFirstOrThrow()
    const der = masterKey.open(row.sealed_private_key, `signing-key/${row.kid}`)
    const { d } = createPrivateKey({ key: der, format: 'der', type: 'pkcs8' }).export({ format: 'jwk' })
    expect(JSON.stringify(row)).not.toContain(d)
    expect(() => masterKey.open(row.sealed_private_key, 'signing-key/another')).toThrow(
      /another master key, or altered/,
    )
  })

  it.each([
    ['cut off', (sealed: string) => sealed.slice(0, 60)],
    [
      'altered in one place',
      (sealed: string) => `${sealed.slice(0, 70)}${sealed[70] === 'A' ? 'B' : 'A'}${sealed.slice(71)}`,
    ],
    ['not even sealed', () => 'hello'],
    ['empty', () => ''],
  ])('names the key whose sealed half is %s, and what to do', async (_how, damage) => {
    const row = await one().store.database.selectFrom('signing_keys').selectAll().executeTakeFirstOrThrow()
    await one()
      .store.database.updateTable('signing_keys')
      .set({ sealed_private_key: damage(row.sealed_private_key) })
      .execute()
    const failure = await one()
      .ring.load()
      .catch((error) => error)
    expect(failure).toMatchObject({ name: 'StoreError', code: 'corrupt_key' })
    expect(failure.message).toContain(row.kid)
    expect(failure.message).toMatch(/restore a backup/)
  })

  it('refuses a sealed key that was put in the place of another', async () => {
    await rotateSigningKey('ES256', one().context)
    const [a, b] = await one().store.database.selectFrom('signing_keys').selectAll().execute()
    const put = (kid = '', sealed_private_key = '') =>
      one().store.database.updateTable('signing_keys').set({ sealed_private_key }).where('kid', '=', kid).execute()
    await put(a?.kid, b?.sealed_private_key)
    await put(b?.kid, a?.sealed_private_key)
    await expect(one().ring.load()).rejects.toMatchObject({ code: 'corrupt_key' })
  })

  it('lets one damaged key stop its own algorithm only: a revocation of another still takes effect', async () => {
    await ensureSigningKey('EdDSA', one().context)
    await one()
      .store.database.updateTable('signing_keys')
      .set({ sealed_private_key: 'x' })
      .where('algorithm', '=', 'EdDSA')
      .execute()
    const [first] = (await one()
      .store.database.selectFrom('signing_keys')
      .select('kid')
      .where('algorithm', '=', 'ES256')
      .execute()) as [{ kid: string }]
    await revokeSigningKey(first.kid, one().context)
    await one().feed.catchUp()
    expect(signsWith(one())).not.toBe(first.kid)
    expect(() => one().ring.signerFor('EdDSA')).toThrow(/no active EdDSA signing key/)
    expect(one().errors).toContainEqual(expect.objectContaining({ code: 'corrupt_key' }))
  })
})

describeStores('replicas that tend the same keys', (kind) => {
  beforeEach(() => open(kind))
  afterEach(close)

  async function activeKeys() {
    const rows = await one()
      .store.database.selectFrom('signing_keys')
      .select(['algorithm', 'kid'])
      .where('status', '=', 'active')
      .execute()
    return rows.map(({ algorithm }) => algorithm).sort()
  }

  // SQLite has one process: there the same store is tended several times at once.
  const others = async () =>
    kind === 'postgres' ? [one(), await openReplica(), await openReplica()] : [one(), one(), one()]

  it('make one key together when all start at once', async () => {
    const all = await others()
    await Promise.all(all.map(({ context }) => ensureSigningKey('RS256', context)))
    expect(await activeKeys()).toEqual(['ES256', 'RS256'])
    expect(await events('signing_key.created')).toBe(2)
  })

  it('have exactly one active key per algorithm after each of them has rotated at the same time', async () => {
    const all = await others()
    await ensureSigningKey('EdDSA', one().context)
    await Promise.all(
      all.flatMap(({ context }) => [rotateSigningKey('ES256', context), rotateSigningKey('EdDSA', context)]),
    )
    expect(await activeKeys()).toEqual(['ES256', 'EdDSA'])
    const kids = new Set<string | undefined>()
    for (const replica of all) {
      await replica.feed.catchUp()
      kids.add(signsWith(replica))
    }
    expect(kids.size).toBe(1)
  })

  it('publish one next key and rotate once when all find it due', async () => {
    const all = await others()
    clock += 24 * day
    await Promise.all(all.map(({ context }) => tendSigningKeys(context)))
    expect(await events('signing_key.published')).toBe(1)
    clock += 7 * day
    await Promise.all(all.map(({ context }) => tendSigningKeys(context)))
    expect(await events('signing_key.rotated')).toBe(1)
    expect(await activeKeys()).toEqual(['ES256'])
    clock += 2 * day
    await Promise.all(all.map(({ context }) => tendSigningKeys(context)))
    expect(await events('signing_key.deleted')).toBe(1)
  })
})

describe('a key ring', () => {
  it('says what to do when there is no key of an algorithm', async () => {
    await open('sqlite')
    expect(() => one().ring.signerFor('RS256')).toThrow(
      'no active RS256 signing key; make one with: countersign key rotate --alg RS256',
    )
    await close()
  })
})
