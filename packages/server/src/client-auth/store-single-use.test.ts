import { afterEach, beforeEach, expect, it } from 'vitest'
import { openStore } from '../storage/open.ts'
import type { Store } from '../storage/store.ts'
import { describeStores, type FreshDatabase, freshDatabase } from '../storage/stores.fixture.ts'
import { createStoreSingleUse } from './store-single-use.ts'

const start = 1_800_000_000

describeStores('used assertions in the database', (kind) => {
  let fresh: FreshDatabase
  let store: Store
  let clock: number
  const memory = () => createStoreSingleUse(store, () => clock)

  beforeEach(async () => {
    fresh = await freshDatabase(kind)
    store = await openStore(fresh.url)
    clock = start
  })
  afterEach(async () => {
    await store.close()
    await fresh.drop()
  })

  it('are known still after the clock was an hour ahead and came back', async () => {
    const used = memory()
    expect(await used.firstUse('a', start + 60, start)).toBe(true)
    clock = start + 3600
    expect(await used.firstUse('b', clock + 60, clock)).toBe(true)
    clock = start + 10
    expect(await used.firstUse('a', start + 60, start)).toBe(false)
    expect(await memory().firstUse('a', start + 60, start)).toBe(false)
  })

  it('are refused from their end on, whether they were remembered or not', async () => {
    expect(await memory().firstUse('a', start, start - 60)).toBe(false)
  })

  it('are forgotten in the end, so that the table does not grow for ever', async () => {
    const used = memory()
    for (let index = 0; index < 10; index += 1) await used.firstUse(`a${index}`, start + 60, start)
    clock = start + 2 * 3600
    await used.firstUse('b', clock + 60, clock)
    expect(await store.database.selectFrom('used_assertions').select('id').execute()).toEqual([{ id: 'b' }])
  })
})
