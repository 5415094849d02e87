import { generateSigningKey } from '@countersign/tokens'
import type { KyselyPlugin } from 'kysely'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { ChangeFeed } from '../storage/change-feed.ts'
import { openStore } from '../storage/open.ts'
import { eventually } from '../storage/services.fixture.ts'
import type { Store } from '../storage/store.ts'
import { type FreshDatabase, freshDatabase } from '../storage/stores.fixture.ts'
import { ServiceKeySets, type ServiceKeySetsOptions } from './service-key-sets.ts'

const { publicJwk, kid } = await generateSigningKey('EdDSA')

/** A feed in the test's hand. */
class HeldFeed extends ChangeFeed {
  #listener: Parameters<ChangeFeed['onChange']>[0] = () => {}
  override onChange(listener: Parameters<ChangeFeed['onChange']>[0]) {
    this.#listener = listener
  }
  tell(change: Parameters<Parameters<ChangeFeed['onChange']>[0]>[0]) {
    this.#listener(change)
  }
}

describe('the key sets in memory', () => {
  let fresh: FreshDatabase
  let store: Store
  let feed: HeldFeed
  let readings: number
  let underway: number
  let mostUnderway: number
  /** What readings wait for before they give their answer */
  let gate: Promise<unknown>
  beforeEach(async () => {
    fresh = await freshDatabase('sqlite')
    store = await openStore(fresh.url)
    feed = new HeldFeed(store)
    readings = underway = mostUnderway = 0
    gate = Promise.resolve()
  })
  afterEach(async () => {
    await store.close()
    await fresh.drop()
  })

  const watched: KyselyPlugin = {
    transformQuery: ({ node }) => {
      readings += 1
      underway += 1
      mostUnderway = Math.max(mostUnderway, underway)
      return node
    },
    transformResult: async ({ result }) => {
      await gate
      underway -= 1
      return result
    },
  }
  const open = (options: Partial<ServiceKeySetsOptions> = {}) =>
    new ServiceKeySets({ store: { ...store, database: store.database.withPlugin(watched) }, feed, ...options })
  const register = (name: string, keys: object[] = [publicJwk]) =>
    store.database
      .insertInto('services')
      .values({ name, keys: JSON.stringify(keys), created_at: 0, updated_at: 0 })
      .execute()
  const changed = (id: string) => feed.tell({ revision: 1, kind: 'service', id })

  it('asks the store once for a set, and once for a name that is not there', async () => {
    await register('order')
    const sets = open()
    for (let round = 0; round < 3; round += 1) {
      expect(JSON.parse((await sets.find('order'))?.text ?? '')).toEqual({ keys: [publicJwk] })
      expect(await sets.find('unknown')).toBeUndefined()
    }
    expect(readings).toBe(2)
  })

  it('asks no more than twice for all who want one name at once', async () => {
    await register('order')
    const sets = open()
    const found = await Promise.all(Array.from({ length: 500 }, () => sets.find('order')))
    for (const set of found) expect(set?.text).toContain(kid)
    expect(readings).toBeLessThanOrEqual(2)
  })

  it('puts a flood of made-up names into few readings, one at a time, and finds the real one among them', async () => {
    await register('order')
    const sets = open()
    const flood = Array.from({ length: 1000 }, (_, index) => sets.find(`made-up-${index}`))
    const order = sets.find('order')
    expect((await order)?.text).toContain(kid)
    await Promise.all(flood)
    expect(readings).toBeLessThanOrEqual(3)
    expect(mostUnderway).toBe(1)
  })

  it('refuses who would wait behind too many, and finds the others', async () => {
    let letGo = () => {}
    gate = new Promise<void>((resolve) => (letGo = resolve))
    const sets = open({ maximumWaiting: 3 })
    const asked = ['a', 'b', 'c', 'd'].map((name) => sets.find(name))
    expect(() => sets.find('e')).toThrow(expect.objectContaining({ status: 503, code: 'unavailable' }))
    expect(sets.find('d')).toBe(asked[3])
    letGo()
    expect(await Promise.all(asked)).toEqual([undefined, undefined, undefined, undefined])
    expect(await sets.find('e')).toBeUndefined()
  })

  it('remembers only so many names that are not there', async () => {
    const sets = open({ maximumAbsent: 10 })
    for (let index = 0; index < 20; index += 1) await sets.find(`name-${index}`)
    readings = 0
    for (let index = 10; index < 20; index += 1) await sets.find(`name-${index}`)
    expect(readings).toBe(0)
    await sets.find('name-0')
    expect(readings).toBe(1)
  })

  it('forgets the sets of some, when there are more than fit', async () => {
    for (const name of ['a', 'b', 'c']) await register(name)
    const sets = open({ maximumCharacters: 1500 })
    for (const name of ['a', 'b', 'c', 'c', 'a']) expect((await sets.find(name))?.text).toContain(kid)
    expect(readings).toBe(4)
  })

  it('forgets that a name is not there after a short while, even if no change is told', async () => {
    const sets = open({ absentMilliseconds: 50 })
    expect(await sets.find('order')).toBeUndefined()
    await register('order')
    await eventually(async () => await sets.find('order'))
  })

  it('reads anew what a change names, and everything when the feed has lost its place', async () => {
    await register('order')
    const sets = open()
    await sets.find('order')
    expect(await sets.find('stock')).toBeUndefined()
    await register('stock')
    await store.database.updateTable('services').set({ keys: '[]' }).where('name', '=', 'order').execute()
    changed('stock')
    expect((await sets.find('stock'))?.text).toContain(kid)
    expect((await sets.find('order'))?.text).toContain(kid)
    feed.tell('everything')
    expect((await sets.find('order'))?.text).toBe('{"keys":[]}')
  })

  it('keeps nothing that was read while a change was told', async () => {
    await register('order')
    let letGo = () => {}
    gate = new Promise<void>((resolve) => (letGo = resolve))
    const sets = open()
    const early = sets.find('order')
    await eventually(() => underway === 1)
    // The store's one connection is held by that reading.
    const otherProcess = await openStore(fresh.url)
    await otherProcess.database.deleteFrom('services').execute()
    await otherProcess.close()
    changed('order')
    const late = sets.find('order')
    letGo()
    expect((await early)?.text).toContain(kid)
    expect(await late).toBeUndefined()
    expect(await sets.find('order')).toBeUndefined()
  })

  it('tells everybody who waits that the store failed, and asks it again for the next', async () => {
    await register('order')
    gate = Promise.reject(new Error('away'))
    gate.catch(() => {})
    const sets = open()
    const asked = [sets.find('order'), sets.find('order'), sets.find('stock')]
    for (const each of await Promise.allSettled(asked)) expect(each).toMatchObject({ status: 'rejected' })
    gate = Promise.resolve()
    expect((await sets.find('order'))?.text).toContain(kid)
  })
})
