import { statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { sql } from 'kysely'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { openStore } from './open.ts'
import type { Store } from './store.ts'
import { describePostgres, describeStores, type FreshDatabase, freshDatabase } from './stores.fixture.ts'

describeStores('the store', (kind) => {
  let fresh: FreshDatabase
  let store: Store

  beforeEach(async () => {
    fresh = await freshDatabase(kind)
    store = await openStore(fresh.url)
  })

  afterEach(async () => {
    await store.close()
    await fresh.drop()
  })

  const put = (name: string, value = 'x') => store.database.insertInto('settings').values({ name, value }).execute()
  const names = async () =>
    (await store.database.selectFrom('settings').select('name').orderBy('name').execute()).map((row) => row.name)

  it('brings a store of an earlier version up to date, and keeps what it holds', async () => {
    await put('a')
    await undoLaterMigrations(store)
    await sql`delete from kysely_migration where name > '001-foundation'`.execute(store.database)
    await store.close()
    store = await openStore(fresh.url)
    for (const table of laterTables) {
      expect(await store.database.selectFrom(table).selectAll().execute()).toEqual([])
    }
    expect(await names()).toEqual(['a'])
  })

  it('keeps all of a transaction', async () => {
    const result = await store.transaction(async (transaction) => {
      await transaction.insertInto('settings').values({ name: 'a', value: '1' }).execute()
      await transaction.insertInto('settings').values({ name: 'b', value: '2' }).execute()
      return 'done'
    })
    expect(result).toBe('done')
    expect(await names()).toEqual(['a', 'b'])
  })

  it('keeps nothing of a transaction that throws, and throws what it threw', async () => {
    const failure = new Error('changed my mind')
    const work = store.transaction(async (transaction) => {
      await transaction.insertInto('settings').values({ name: 'a', value: '1' }).execute()
      throw failure
    })
    await expect(work).rejects.toBe(failure)
    expect(await names()).toEqual([])
  })

  it('shows nobody what a transaction has written before it commits', async () => {
    let seen: Promise<string[]> | undefined
    await store.transaction(async (transaction) => {
      await transaction.insertInto('settings').values({ name: 'a', value: '1' }).execute()
      seen = names()
      if (kind === 'postgres') expect(await seen).toEqual([])
      await transaction.deleteFrom('settings').execute()
    })
    expect(await seen).toEqual([])
  })

  it('lets twenty transactions add one to one number without losing any', async () => {
    const add = () =>
      store.transaction((transaction) =>
        transaction
          .updateTable('store_revision')
          .set((row) => ({ value: row('value', '+', 1) }))
          .execute(),
      )
    await Promise.all(Array.from({ length: 20 }, add))
    const row = await store.database.selectFrom('store_revision').select('value').executeTakeFirstOrThrow()
    expect(row.value).toBe(20)
  })

  it('says conflict for a name that is taken', async () => {
    await put('a')
    await expect(put('a')).rejects.toMatchObject({ name: 'StoreError', code: 'conflict' })
  })

  it('says conflict for a row that refers to nothing', async () => {
    const orphan = { id: 's', client_id: 'nobody', hash: '', created_at: 0 }
    const insert = store.database
      .insertInto('client_secrets')
      .values(orphan as never)
      .execute()
    await expect(insert).rejects.toMatchObject({ name: 'StoreError', code: 'conflict' })
  })

  it('goes on after a conflict within a transaction was refused', async () => {
    await put('a')
    await expect(
      store.transaction((transaction) => transaction.insertInto('settings').values({ name: 'a', value: '' }).execute()),
    ).rejects.toMatchObject({ code: 'conflict' })
    await put('b')
    expect(await names()).toEqual(['a', 'b'])
  })

  it('deletes what belongs to a client with the client', async () => {
    await store.database
      .insertInto('clients')
      .values({ id: 'c', name: 'c', disabled: 0, assertion_audience: 'issuer', created_at: 0, updated_at: 0 } as never)
      .execute()
    const secret = {
      id: 's',
      client_id: 'c',
      hash: '',
      label: null,
      created_at: 0,
      expires_at: null,
      last_used_at: null,
    }
    await store.database.insertInto('client_secrets').values(secret).execute()
    await store.database.deleteFrom('clients').where('id', '=', 'c').execute()
    expect(await store.database.selectFrom('client_secrets').selectAll().execute()).toEqual([])
  })

  it('gives numbers beyond 32 bits back as the numbers that they were', async () => {
    const expires_at = 2 ** 53 - 1
    await store.database.insertInto('used_assertions').values({ id: 'a', expires_at }).execute()
    const row = await store.database.selectFrom('used_assertions').selectAll().executeTakeFirst()
    expect(row).toEqual({ id: 'a', expires_at })
  })

  it('takes a value for a value, whatever it looks like', async () => {
    const value = `'; drop table settings; -- \u{1f511} ${'x'.repeat(100_000)}`
    await put('a', value)
    expect(await store.database.selectFrom('settings').select('value').executeTakeFirst()).toEqual({ value })
  })

  it('says unavailable after it was closed', async () => {
    await store.ping()
    await store.close()
    await expect(store.ping()).rejects.toThrow()
    store = await openStore(fresh.url)
  })

  it('is there again when it is opened a second time, with its rows', async () => {
    await put('a')
    await store.close()
    store = await openStore(fresh.url)
    expect(await names()).toEqual(['a'])
  })
})

describe('a store that cannot be opened', () => {
  it('names the file that is no database', async () => {
    const fresh = await freshDatabase('sqlite')
    const path = join(fresh.url.slice('sqlite:'.length), '..', 'text.db')
    writeFileSync(path, 'this is not a database at all'.repeat(100))
    await expect(openStore(`sqlite:${path}`)).rejects.toMatchObject({
      code: 'unavailable',
      message: expect.stringContaining(path),
    })
    await fresh.drop()
  })

  it('names the server that does not answer, without the password', async () => {
    const failure = await Promise.resolve(openStore('postgres://app:hunter2hunter2@127.0.0.1:1/db')).catch(
      (error) => error,
    )
    expect(failure).toMatchObject({ name: 'StoreError', code: 'unavailable' })
    expect(failure.message).toContain('127.0.0.1:1/db')
    expect(JSON.stringify([failure.message, failure.stack])).not.toContain('hunter2')
  })

  it('knows two kinds of URL and says so', async () => {
    await expect(openStore('mysql://x:hunter2@y/z')).rejects.toThrow(/"mysql:".*sqlite:PATH/)
  })
})

describe('the file of the SQLite store', () => {
  it('can be read by nobody but its owner', async () => {
    const fresh = await freshDatabase('sqlite')
    const store = await openStore(fresh.url)
    expect(statSync(fresh.url.slice('sqlite:'.length)).mode & 0o777).toBe(0o600)
    await store.close()
    await fresh.drop()
  })
})

describePostgres('the store on PostgreSQL', () => {
  it('is migrated once when several replicas start at the same time', async () => {
    const fresh = await freshDatabase('postgres')
    const stores = await Promise.all(Array.from({ length: 4 }, () => openStore(fresh.url)))
    const rows = await stores[3]?.database.selectFrom('store_revision').selectAll().execute()
    expect(rows).toEqual([{ id: 1, value: 0 }])
    await Promise.all(stores.map((store) => store.close()))
    await fresh.drop()
  })

  it('says unavailable when its connection is cut while it is migrated', async () => {
    const fresh = await freshDatabase('postgres')
    // Kysely's lock, as another replica holds it that is being migrated.
    const migrating = fresh.run('select pg_advisory_lock(3853314791062309107), pg_sleep(60)').catch(() => {})
    const sleeping = `wait_event = 'PgSleep' and datname = current_database()`
    await expect.poll(() => fresh.run(`select from pg_stat_activity where ${sleeping}`)).toHaveLength(1)
    const waiting = `wait_event = 'advisory' and datname = current_database()`
    const opened = openStore(fresh.url).catch((error) => error)
    await expect.poll(() => fresh.run(`select from pg_stat_activity where ${waiting}`)).toHaveLength(1)
    await fresh.run(`select pg_terminate_backend(pid) from pg_stat_activity where ${waiting}`)
    expect(await opened).toMatchObject({ name: 'StoreError', code: 'unavailable' })
    await fresh.drop()
    await migrating
  })

  it('says unavailable when its connection is cut in the middle of a transaction, and works with the next one', async () => {
    const fresh = await freshDatabase('postgres')
    const store = await openStore(fresh.url)
    const cut = store.transaction(async (transaction) => {
      await transaction.insertInto('settings').values({ name: 'a', value: '' }).execute()
      await fresh.run(
        `select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and state = 'idle in transaction'`,
      )
      await transaction.insertInto('settings').values({ name: 'b', value: '' }).execute()
    })
    await expect(cut).rejects.toMatchObject({ name: 'StoreError', code: 'unavailable' })
    expect(await store.database.selectFrom('settings').selectAll().execute()).toEqual([])
    await store.close()
    await fresh.drop()
  })

  it('says unavailable when another session holds a lock for too long, and lets go of its own', async () => {
    const fresh = await freshDatabase('postgres')
    const store = await openStore(fresh.url)
    const other = await openStore(fresh.url)
    const locked = Promise.withResolvers<void>()
    const enough = Promise.withResolvers<void>()
    const holding = other.transaction(async (transaction) => {
      await transaction.insertInto('settings').values({ name: 'a', value: '' }).execute()
      locked.resolve()
      await enough.promise
    })
    await locked.promise
    const late = store.database.insertInto('settings').values({ name: 'a', value: '' }).execute()
    await expect(late).rejects.toMatchObject({ code: 'unavailable' })
    enough.resolve()
    await holding
    await store.ping()
    await store.close()
    await other.close()
    await fresh.drop()
  })
})

const laterTables = [
  'services',
  'certificate_authorities',
  'bundle_state',
  'trust_bundles',
  'registration_entries',
  'nodes',
  'join_tokens',
  'spent_join_tokens',
] as const

async function undoLaterMigrations({ database }: Store): Promise<void> {
  for (const table of laterTables) await database.schema.dropTable(table).execute()
  await database.schema.dropIndex('revocations_serial').execute()
  await database.schema.dropIndex('audit_events_issued_svids').execute()
  for (const column of ['serial', 'spiffe_id']) {
    await database.schema.alterTable('revocations').dropColumn(column).execute()
  }
  for (const column of ['spiffe_ids', 'tls_client_auth']) {
    await database.schema.alterTable('clients').dropColumn(column).execute()
  }
  await database.schema.alterTable('client_keys').dropColumn('certificate').execute()
}
