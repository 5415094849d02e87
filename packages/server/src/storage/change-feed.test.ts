import { afterEach, beforeEach, expect, it } from 'vitest'
import { announce, type Change, ChangeFeed, pruneChanges } from './change-feed.ts'
import { openStore } from './open.ts'
import { eventually } from './services.fixture.ts'
import type { Store } from './store.ts'
import { describePostgres, describeStores, type FreshDatabase, freshDatabase } from './stores.fixture.ts'

let fresh: FreshDatabase
let store: Store
let feed: ChangeFeed
let told: (string | 'everything')[]

async function begin(kind: Store['kind'], pollMilliseconds?: number) {
  fresh = await freshDatabase(kind)
  store = await openStore(fresh.url)
  told = []
  feed = listening(store, told, pollMilliseconds)
  await feed.start()
}

async function end() {
  await feed.stop()
  await store.close()
  await fresh.drop()
}

function listening(of: Store, into: string[], pollMilliseconds?: number): ChangeFeed {
  const made = new ChangeFeed(of, { pollMilliseconds })
  made.onChange((change: Change | 'everything') => void into.push(change === 'everything' ? change : change.id))
  return made
}

const change = (id: string, at = 1000) =>
  store.transaction((transaction) => announce(transaction, store, { kind: 'client', id, at }))

describeStores('the change feed', (kind) => {
  beforeEach(() => begin(kind))
  afterEach(end)

  it('tells every change in the order of the commits', async () => {
    for (let number = 0; number < 20; number++) await change(`c${number}`)
    await eventually(() => told.length === 20)
    expect(told).toEqual(Array.from({ length: 20 }, (_, number) => `c${number}`))
  })

  it('gives revisions without a gap to changes that come at once, and tells each once', async () => {
    await Promise.all(Array.from({ length: 30 }, (_, number) => change(`c${number}`)))
    await eventually(() => told.length === 30)
    expect(new Set(told).size).toBe(30)
    const rows = await store.database.selectFrom('changes').select('revision').orderBy('revision').execute()
    expect(rows.map(({ revision }) => revision)).toEqual(Array.from({ length: 30 }, (_, index) => index + 1))
  })

  it('tells nothing of a change that was rolled back', async () => {
    await store
      .transaction(async (transaction) => {
        await announce(transaction, store, { kind: 'client', id: 'undone', at: 1000 })
        throw new Error('no')
      })
      .catch(() => {})
    await change('done')
    await eventually(() => told.length > 0)
    expect(told).toEqual(['done'])
  })

  it('has told what was committed before, once catchUp resolves', async () => {
    for (let number = 0; number < 10; number++) {
      await change(`c${number}`)
      await feed.catchUp()
      expect(told.at(-1)).toBe(`c${number}`)
    }
  })

  it('reads on where more changed than it reads at once', async () => {
    const values = Array.from({ length: 2500 }, (_, index) => ({
      revision: index + 1,
      kind: 'client',
      id: `c${index}`,
      at: 0,
    }))
    await store.transaction(async (transaction) => {
      for (let from = 0; from < 2500; from += 500)
        await transaction
          .insertInto('changes')
          .values(values.slice(from, from + 500))
          .execute()
      await transaction.updateTable('store_revision').set({ value: 2500 }).execute()
    })
    await feed.catchUp()
    await eventually(() => told.length >= 2500)
    expect(told).toEqual(values.map(({ id }) => id))
  })

  it('says everything when changes were pruned that it had not told', async () => {
    const late: string[] = []
    const sleeper = listening(store, late)
    // Asleep: it has begun, and hears nothing until it catches up.
    const listen = store.listen
    store.listen = async () => async () => {}
    await sleeper.start()
    store.listen = listen
    await change('a', 0)
    await change('b', 0)
    await pruneChanges(store, 10_000)
    await sleeper.catchUp()
    expect(late).toContain('everything')
    const before = late.length
    await change('c', 10_000)
    await sleeper.catchUp()
    expect(late.slice(before)).toEqual(['c'])
    await sleeper.stop()
  })

  it('says everything when the counter went back, as after a failover or a restore', async () => {
    await change('a')
    await change('b')
    await feed.catchUp()
    await store.transaction((transaction) => transaction.updateTable('store_revision').set({ value: 1 }).execute())
    await feed.catchUp()
    await eventually(() => told.at(-1) === 'everything')
  })

  it('tells everything again until a listener that failed has succeeded', async () => {
    let failures = 2
    const seen: string[] = []
    feed.onChange(async (of) => {
      if (failures-- > 0) throw new Error('could not read')
      seen.push(of === 'everything' ? of : of.id)
    })
    await change('a')
    await eventually(() => seen.length > 0)
    expect(seen[0]).toBe('everything')
    await change('b')
    await eventually(() => seen.at(-1) === 'b')
  })

  it('keeps the changes of the last hour when it prunes', async () => {
    await change('old', 1000)
    await change('new', 9000)
    await pruneChanges(store, 10_000)
    const rows = await store.database.selectFrom('changes').select('id').execute()
    expect(rows).toEqual([{ id: 'new' }])
  })
})

describePostgres('the change feed of several replicas', () => {
  beforeEach(() => begin('postgres'))
  afterEach(end)

  it('finds within a second a change whose notification never came', async () => {
    const other = await openStore(fresh.url)
    let shortest = Number.POSITIVE_INFINITY
    // A busy machine may be late; one try in time shows that it needs no longer.
    for (let index = 0; index < 10 && shortest >= 1_000; index += 1) {
      const announcedAt = performance.now()
      // Announced as by SQLite, which notifies nobody.
      await other.transaction((transaction) =>
        announce(transaction, { kind: 'sqlite' }, { kind: 'client', id: `a${index}`, at: 0 }),
      )
      await eventually(() => told.includes(`a${index}`))
      shortest = Math.min(shortest, performance.now() - announcedAt)
    }
    expect(shortest).toBeLessThan(1_000)
    await other.close()
  })

  it('says everything while the store cannot be asked, and goes on when it can', async () => {
    await fresh.run('alter table store_revision rename to hidden')
    await eventually(() => told.includes('everything'))
    await fresh.run('update hidden set value = value + 5')
    await fresh.run('alter table hidden rename to store_revision')
    const before = told.length
    await eventually(() => told.length > before)
    await feed.catchUp()
    told.length = 0
    await change('after')
    await eventually(() => told.includes('after'))
    expect(told).toEqual(['after'])
  })

  it('takes no change for granted while the store lets it wait', async () => {
    const other = await openStore(fresh.url)
    const enough = Promise.withResolvers<void>()
    const locked = Promise.withResolvers<void>()
    const holding = other.transaction(async (transaction) => {
      const { sql } = await import('kysely')
      await sql`lock table store_revision in access exclusive mode`.execute(transaction)
      locked.resolve()
      await enough.promise
    })
    await locked.promise
    await eventually(() => told.includes('everything'))
    enough.resolve()
    await holding
    await other.close()
  })
})

describePostgres('the change feed of a replica that hardly ever asks', () => {
  beforeEach(() => begin('postgres', 3_600_000))
  afterEach(end)

  const listeners = `from pg_stat_activity where query ilike 'listen %' and datname = current_database()`

  it('is told by another replica at once', async () => {
    const other = await openStore(fresh.url)
    await other.transaction((transaction) => announce(transaction, other, { kind: 'client', id: 'a', at: 0 }))
    await eventually(() => told.includes('a'))
    await other.close()
  })

  it('listens again by itself after its connection was killed', async () => {
    expect(await fresh.run(`select pg_terminate_backend(pid) ${listeners}`)).toHaveLength(1)
    await change('while away')
    await eventually(() => told.includes('while away'))
    await eventually(async () => (await fresh.run(`select pid ${listeners}`)).length === 1)
    await change('back')
    await eventually(() => told.includes('back'))
  })
})
