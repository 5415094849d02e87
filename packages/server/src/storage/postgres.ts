import { Kysely, PostgresDialect, type PostgresPool, type PostgresPoolClient } from 'kysely'
import pg from 'pg'
import { migrate } from './migrations.ts'
import { type Store, StoreError } from './store.ts'
import type { Tables } from './tables.ts'

const channel = 'countersign_changes'
const relistenMilliseconds = 500

// Counters and times stay far below 2^53; as strings (pg's default for int8) they would not compare.
pg.types.setTypeParser(pg.types.builtins.INT8, Number)

/**
 * The store of several replicas.
 * @param url `postgres://user:password@host:port/database`
 * @throws StoreError `unavailable` when the database cannot be reached; the message never holds the password
 */
export async function openPostgresStore(url: string): Promise<Store> {
  const pool = new pg.Pool({
    connectionString: url,
    max: 10,
    connectionTimeoutMillis: 5_000,
    // A statement that hangs (a failover, a lock) must not hold a request for ever.
    statement_timeout: 10_000,
    application_name: 'countersign',
  })
  // Idle connections that the server drops are replaced by the pool; without a listener this would end the process.
  pool.on('error', () => {})
  const database = new Kysely<Tables>({ dialect: new PostgresDialect({ pool: withStoreErrors(pool) }) })
  try {
    await pool.query('select 1')
    await migrate(database)
  } catch (error) {
    await database.destroy()
    throw new StoreError('unavailable', `PostgreSQL at ${describe(url)} cannot be used: ${(error as Error).message}`)
  }
  return {
    kind: 'postgres',
    database,
    transaction: (work) => database.transaction().execute(work),
    listen: (onChange) => listen(url, onChange),
    async ping() {
      await pool.query('select 1').catch(rethrow)
    },
    close: () => database.destroy(),
  }
}

/** The statement that, inside a transaction, makes every listener call back after the commit. */
export const notifyChannel = channel

/** Keeps one connection listening, and calls back after each reconnection too: what was said meanwhile is lost. */
async function listen(url: string, onChange: () => void): Promise<() => Promise<void>> {
  let stopped = false
  let client: pg.Client | undefined
  let retry: NodeJS.Timeout | undefined

  const connect = async () => {
    const next = new pg.Client({ connectionString: url, connectionTimeoutMillis: 5_000, keepAlive: true })
    client = next
    const again = () => {
      if (stopped || client !== next) return
      client = undefined
      next.end().catch(() => {})
      retry = setTimeout(connect, relistenMilliseconds)
    }
    next.on('error', again)
    next.on('end', again)
    next.on('notification', onChange)
    try {
      await next.connect()
      await next.query(`listen ${channel}`)
      onChange()
    } catch {
      again()
    }
  }
  await connect()

  return async () => {
    stopped = true
    clearTimeout(retry)
    await client?.end().catch(() => {})
  }
}

/** Every failure that kysely sees is one of the store's own errors, so that callers need not know the database. */
function withStoreErrors(pool: pg.Pool): PostgresPool {
  return {
    async connect(): Promise<PostgresPoolClient> {
      const client = await pool.connect().catch(rethrow)
      return {
        // kysely also knows a form for cursors, which nothing here uses.
        query: (text: string, parameters: readonly unknown[]) => client.query(text, [...parameters]).catch(rethrow),
        release: () => client.release(),
      } as unknown as PostgresPoolClient
    },
    end: () => pool.end(),
  }
}

/**
 * SQLSTATE class 23 is a broken constraint. Classes 08, 53, 57 and 58 (connection, resources, shutdown, system), a
 * server that became read-only, and errors with no SQLSTATE (sockets) mean that the store is away.
 */
function rethrow(error: Error & { code?: string }): never {
  const code = error.code ?? ''
  if (code.startsWith('23')) throw new StoreError('conflict', error.message, { cause: error })
  const sqlState = /^[0-9A-Z]{5}$/.test(code) && !code.startsWith('E')
  if (!sqlState || /^(08|53|57|58|25006|40)/.test(code)) {
    throw new StoreError('unavailable', `the database failed: ${error.message}`, { cause: error })
  }
  throw error
}

function describe(url: string): string {
  try {
    const { hostname, port, pathname } = new URL(url)
    return `${hostname || 'localhost'}:${port || 5432}${pathname}`
  } catch {
    return 'the configured address'
  }
}
