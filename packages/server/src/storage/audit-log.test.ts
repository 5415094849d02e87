import { createPublicKey } from 'node:crypto'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { chainHash, chainStart, isHeadSigned } from '../audit/chain.ts'
import type { AuditHead, ChainedEvent } from '../audit/event.ts'
import { AuditLog } from '../audit/log.ts'
import { createMasterKey, generateMasterKey } from '../sealing/master-key.ts'
import { openStore } from './open.ts'
import { type Store, StoreError } from './store.ts'
import { describePostgres, describeStores, type FreshDatabase, freshDatabase } from './stores.fixture.ts'

const key = createMasterKey(generateMasterKey()).auditKey
const fact = (client_id: string) => ({ type: 'token.issued', outcome: 'success', client_id }) as const

let fresh: FreshDatabase
let store: Store

const openLog = (chain = 'local') => new AuditLog({ store, key, chain })

async function open(kind: Store['kind']) {
  fresh = await freshDatabase(kind)
  store = await openStore(fresh.url)
}

async function close() {
  await store.close()
  await fresh.drop()
}

async function rowsOf(chain: string) {
  return store.database.selectFrom('audit_events').selectAll().where('chain', '=', chain).orderBy('sequence').execute()
}

/** Follows a chain from its start to its signed head; the number of events, or what is broken. */
async function follow(chain: string): Promise<number | string> {
  let hash = chainStart
  const rows = await rowsOf(chain)
  for (const [index, row] of rows.entries()) {
    hash = chainHash(hash, row.event)
    if (row.sequence !== index + 1 || row.hash !== hash) return `broken at ${row.sequence}`
  }
  const head = await store.database.selectFrom('audit_heads').selectAll().where('chain', '=', chain).executeTakeFirst()
  if (head?.hash !== hash || head.sequence !== rows.length) return 'the head is of another event'
  return isHeadSigned(head as AuditHead, createPublicKey(key)) ? rows.length : 'the head is not signed'
}

describeStores('the audit log', (kind) => {
  beforeEach(() => open(kind))
  afterEach(close)

  it('has written an event when its promise resolves', async () => {
    const log = openLog()
    await log.record(fact('a'))
    expect(await rowsOf('local')).toMatchObject([{ sequence: 1, type: 'token.issued', client_id: 'a' }])
    expect(await follow('local')).toBe(1)
  })

  it('writes a thousand events that come at once in their order, in few commits, in one chain', async () => {
    const log = openLog()
    const commits: number[] = []
    log.onCommitted((events) => commits.push(events.length))
    await Promise.all(Array.from({ length: 1000 }, (_, index) => log.record(fact(`c${index}`))))
    const rows = await rowsOf('local')
    expect(rows.map(({ client_id }) => client_id)).toEqual(Array.from({ length: 1000 }, (_, index) => `c${index}`))
    expect(commits.length).toBeLessThanOrEqual(3)
    expect(await follow('local')).toBe(1000)
  })

  it('tells of events only once they are durable', async () => {
    const log = openLog()
    const told: ChainedEvent[] = []
    log.onCommitted((events) => told.push(...events))
    await log.record(fact('a'))
    const [row] = await rowsOf('local')
    expect(told).toHaveLength(1)
    expect(told[0]?.hash).toBe(row?.hash)
  })

  it('records a change and its event together', async () => {
    const log = openLog()
    const result = await log.recordChange({ type: 'x.made', outcome: 'success' }, async (transaction) => {
      await transaction.insertInto('settings').values({ name: 'a', value: '' }).execute()
      return 42
    })
    expect(result).toBe(42)
    expect(await follow('local')).toBe(1)
    expect(await store.database.selectFrom('settings').select('name').execute()).toEqual([{ name: 'a' }])
  })

  it('records neither when the change throws, and passes on what it threw', async () => {
    const log = openLog()
    const change = log.recordChange({ type: 'x.made', outcome: 'success' }, async (transaction) => {
      await transaction.insertInto('settings').values({ name: 'a', value: '' }).execute()
      throw new StoreError('conflict', 'there is one')
    })
    await expect(change).rejects.toMatchObject({ code: 'conflict', message: 'there is one' })
    await log.record(fact('after'))
    expect(await follow('local')).toBe(1)
    expect(await store.database.selectFrom('settings').selectAll().execute()).toEqual([])
  })

  it('keeps one chain through changes, refused changes and events all at once', async () => {
    const log = openLog()
    const outcomes = await Promise.allSettled(
      Array.from({ length: 60 }, (_, index) =>
        index % 3 === 0
          ? log.record(fact(`c${index}`))
          : log.recordChange({ type: 'x.made', outcome: 'success' }, async () => {
              if (index % 3 === 1) throw new Error('refused')
            }),
      ),
    )
    expect(outcomes.filter(({ status }) => status === 'fulfilled')).toHaveLength(40)
    expect(await follow('local')).toBe(40)
  })

  it('goes on with its chain after a restart', async () => {
    await openLog().record(fact('a'))
    await openLog().record(fact('b'))
    expect(await follow('local')).toBe(2)
  })

  it.each([
    [
      'the newest event was cut off',
      () => store.database.deleteFrom('audit_events').where('sequence', '=', 3).execute(),
    ],
    ['every event was cut off', () => store.database.deleteFrom('audit_events').execute()],
    ['the head was cut off', () => store.database.deleteFrom('audit_heads').execute()],
    [
      'the newest event was altered',
      () => store.database.updateTable('audit_events').set({ hash: 'ab' }).where('sequence', '=', 3).execute(),
    ],
  ])('begins another chain when %s, and leaves the broken one to be seen', async (_how, cut) => {
    const before = openLog()
    for (const id of ['a', 'b', 'c']) await before.record(fact(id))
    await cut()
    const damage = [await rowsOf('local'), await follow('local')]
    const log = openLog()
    await log.record(fact('d'))
    await log.record(fact('e'))
    expect(log.chain).toMatch(/^local~[0-9a-f]{8}$/)
    expect(await follow(log.chain)).toBe(2)
    expect([await rowsOf('local'), await follow('local')]).toEqual(damage)
  })

  it('refuses what waits beyond twenty thousand events, and writes those before', async () => {
    const log = openLog()
    const outcomes = await Promise.allSettled(Array.from({ length: 20_010 }, () => log.record(fact('a'))))
    const refused = outcomes.filter(({ status }) => status === 'rejected') as PromiseRejectedResult[]
    expect(refused).toHaveLength(10)
    expect(refused[0]?.reason).toMatchObject({ code: 'unavailable', message: expect.stringMatching(/backed up/) })
    await log.record(fact('after'))
    expect(await follow('local')).toBe(20_001)
  })

  it('says unavailable when the store is gone, to each that waited', async () => {
    const log = openLog()
    await store.close()
    const outcomes = await Promise.allSettled([log.record(fact('a')), log.recordChange(fact('b'), async () => {})])
    for (const outcome of outcomes) {
      expect(outcome).toMatchObject({ status: 'rejected', reason: { name: 'StoreError', code: 'unavailable' } })
    }
    store = await openStore(fresh.url)
  })

  it('goes on with the same chain after a commit failed', async () => {
    const log = openLog()
    await log.record(fact('a'))
    const write = store.write
    store.write = () => Promise.reject(new StoreError('unavailable', 'the database failed: gone'))
    await expect(log.record(fact('lost'))).rejects.toMatchObject({ code: 'unavailable' })
    store.write = write
    await log.record(fact('b'))
    expect((await rowsOf('local')).map(({ client_id }) => client_id)).toEqual(['a', 'b'])
    expect(await follow('local')).toBe(2)
  })

  it('notices when a commit took place although its answer was lost', async () => {
    const log = openLog()
    const write = store.write
    store.write = async (statements) => {
      await write(statements)
      throw new StoreError('unavailable', 'the connection was cut')
    }
    await expect(log.record(fact('a'))).rejects.toMatchObject({ code: 'unavailable' })
    store.write = write
    await log.record(fact('b'))
    expect(await follow('local')).toBe(2)
  })

  it('loses nothing when another process writes under the same name, and every chain is whole', async () => {
    const [one, other] = [openLog(), openLog()]
    for (const log of [one, other, one, other]) await log.record(fact('a'))
    await Promise.all([one, other].map((log) => log.recordChange({ type: 'x', outcome: 'success' }, async () => {})))
    for (let round = 0; round < 10; round++) await Promise.all([one, other].map((log) => log.record(fact('b'))))
    const chains = [...new Set(['local', one.chain, other.chain])]
    const lengths = (await Promise.all(chains.map(follow))) as number[]
    expect(lengths.reduce((sum, length) => sum + length, 0)).toBe(26)
  })
})

describePostgres('the audit log on PostgreSQL', () => {
  beforeEach(() => open('postgres'))
  afterEach(close)

  it('loses nothing that was answered when its connections are cut all the time', async () => {
    const log = openLog()
    const written: string[] = []
    const ended = Promise.withResolvers<void>()
    const cutting = (async () => {
      for (let cut = 0; cut < 10; cut++) {
        await fresh.run(
          'select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()',
        )
        await new Promise((resolve) => setTimeout(resolve, 30))
      }
      ended.resolve()
    })()
    let over = false
    void ended.promise.then(() => {
      over = true
    })
    for (let index = 0; !over; index++) {
      await log.record(fact(`c${index}`)).then(
        () => written.push(`c${index}`),
        (error) => expect(error).toMatchObject({ code: 'unavailable' }),
      )
    }
    await cutting
    await log.record(fact('last'))
    const stored = new Set((await rowsOf(log.chain)).map(({ client_id }) => client_id))
    expect(written.filter((id) => !stored.has(id))).toEqual([])
    expect(log.chain).toBe('local')
    expect(await follow('local')).toBe(stored.size)
  })
})

describe('the head of a chain', () => {
  it('is not signed when any part of it is altered', async () => {
    await open('sqlite')
    await openLog().record(fact('a'))
    const head = (await store.database.selectFrom('audit_heads').selectAll().executeTakeFirstOrThrow()) as AuditHead
    const publicKey = createPublicKey(key)
    expect(isHeadSigned(head, publicKey)).toBe(true)
    for (const change of [{ sequence: 2 }, { hash: 'ab' }, { chain: 'b' }, { time: '2020-01-01T00:00:00.000Z' }]) {
      expect(isHeadSigned({ ...head, ...change }, publicKey)).toBe(false)
    }
    await close()
  })
})
