import { type Kysely, sql } from 'kysely'
import type { MasterKey } from '../sealing/master-key.ts'
import { type BackupRow, type BackupTable, backupTables, type Row, writeBackupFile } from './backup-file.ts'
import type { Store } from './store.ts'
import type { Tables } from './tables.ts'

const pageRows = 500

export interface BackupSummary {
  file: string
  rows: number
  /** Seconds since the epoch */
  createdAt: number
}

/**
 * Copies the whole store, as it is at one moment, into one file that either kind of store can be restored from. Other
 * processes go on writing meanwhile. Secrets in it are hashed or sealed: it is of use only with the master key.
 * @throws StoreError `unavailable`
 */
export async function backupStore(
  store: Store,
  file: string,
  masterKey: MasterKey,
  now: () => number = () => Math.floor(Date.now() / 1000),
): Promise<BackupSummary> {
  return store.database.connection().execute(async (connection) => {
    await sql
      .raw(store.kind === 'postgres' ? 'begin isolation level repeatable read read only' : 'begin')
      .execute(connection)
    try {
      // PostgreSQL takes its snapshot at the first read, SQLite too: from here on the store stands still for us.
      const { value: revision } = await connection
        .selectFrom('store_revision')
        .select('value')
        .executeTakeFirstOrThrow()
      const createdAt = now()
      const header = { createdAt, revision, migrations: await migrationsOf(connection) }
      const rows = await writeBackupFile(file, header, allRows(connection), masterKey.backupKey)
      return { file, rows, createdAt }
    } finally {
      await sql.raw('rollback').execute(connection)
    }
  })
}

export async function migrationsOf(database: Kysely<Tables>): Promise<string[]> {
  const { rows } = await sql<{ name: string }>`select name from kysely_migration order by name`.execute(database)
  return rows.map(({ name }) => name)
}

async function* allRows(database: Kysely<Tables>): AsyncGenerator<BackupRow> {
  for (const table of Object.keys(backupTables) as BackupTable[]) {
    let after: Row | undefined
    for (;;) {
      const page = await readPage(database, table, after)
      for (const row of page) yield { table, row }
      after = page.at(-1)
      if (page.length < pageRows) break
    }
  }
}

async function readPage(database: Kysely<Tables>, table: BackupTable, after: Row | undefined): Promise<Row[]> {
  const key: readonly string[] = backupTables[table]
  const columns = sql.join(key.map((column) => sql.ref(column)))
  const from = after ? sql`where (${columns}) > (${sql.join(key.map((column) => after[column]))})` : sql``
  const { rows } = await sql<Row>`select * from ${sql.table(table)} ${from} order by ${columns} limit ${sql.lit(
    pageRows,
  )}`.execute(database)
  return rows
}
