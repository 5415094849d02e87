import { CompiledQuery, Kysely, PostgresDialect, type PostgresPool, type PostgresPoolClient } from 'kysely'
import pg from 'pg'
import { migrate } from './migrations.ts'
import { notifyChannel } from './notify-channel.ts'
import { type Store, StoreError } from './store.ts'
import type { Tables } from './tables.ts'

const relistenMilliseconds = 500
/** A statement that hangs (a failover, a lock) must not hold a request for ever. */
const statementMilliseconds = 5_000
/** The server ends a late statement itself; where it has stopped altogether, so do we. */
const silenceMilliseconds = 7_000

// Counters and times stay far below 2^53; as strings (pg's default for int8) they would not compare.
pg.types.setTypeParser(pg.types.builtins.INT8, Number)

/**
 * The store of several replicas.
 * @param url `postgres://user:password@host:port/database`
 * @throws StoreError `unavailable` when the database cannot be reached; the message never holds the password
 */
export async function openPostgresStore(url: string): Promise<Store> {
  const pool = openPool(url, {
    max: 10,
    statement_timeout: statementMilliseconds,
    query_timeout: silenceMilliseconds,
    keepAlive: true,
    application_name: 'countersign',
  })
  const database = new Kysely<Tables>({ dialect: new PostgresDialect({ pool: withStoreErrors(pool) }) })
  try {
    await migrateUnhurried(url)
  } catch (error) {
    await pool.end()
    throw new StoreError(
      'unavailable',
      `PostgreSQL at ${describe(url)} cannot be used: ${(error as Error).message}; start it, or correct database_url`,
    )
  }
  return {
    kind: 'postgres',
    database,
    transaction: (work) => database.transaction().execute(work),
    async write(statements) {
      const [statement, another] = statements
      if (statement && !another) {
        await pool.query(statement.sql, [...statement.parameters]).catch(rethrow)
        return
      }
      await database.transaction().execute(async (transaction) => {
        for (const { sql, parameters } of statements) {
          await transaction.executeQuery(CompiledQuery.raw(sql, [...parameters]))
        }
      })
    },
    listen: (onChange) => listen(url, onChange),
    async ping() {
      await pool.query('select 1').catch(rethrow)
    },
    async close() {
      await database.destroy()
      await pool.end()
    },
  }
}

function openPool(url: string, options: pg.PoolConfig): pg.Pool {
  const pool = new pg.Pool({ connectionString: url, connectionTimeoutMillis: 5_000, ...options })
  // Connections that the server drops are replaced by the pool, whether they are idle or within a transaction at that
  // moment; without listeners either would end the process.
  pool.on('error', () => {})
  pool.on('connect', (client) => void client.on('error', () => {}))
  return pool
}

/** Rebuilding a large table may take longer than any request should wait. */
async function migrateUnhurried(url: string): Promise<void> {
  const pool = openPool(url, { max: 1 })
  const database = new Kysely<Tables>({ dialect: new PostgresDialect({ pool }) })
  try {
    await migrate(database)
  } finally {
    await database.destroy()
  }
}

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
      await next.query(`listen ${notifyChannel}`)
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
      let broken: StoreError | undefined
      return {
        // kysely also knows a form for cursors, which nothing here uses.
        async query(text: string, parameters: readonly unknown[]) {
          // A rollback over a connection that does not answer would wait as long again.
          if (broken) throw broken
          try {
            return await client.query(text, [...parameters])
          } catch (error) {
            const told = asStoreError(error as Error)
            if (told instanceof StoreError && told.code === 'unavailable') broken = told
            throw told
          }
        },
        // Closing it rolls back, and nobody gets a connection whose answers are still under way.
        release: () => client.release(broken !== undefined),
      } as unknown as PostgresPoolClient
    },
    // kysely ends only a pool that it has used; the store ends it in any case.
    end: async () => {},
  }
}

function rethrow(error: Error): never {
  throw asStoreError(error)
}

/**
 * SQLSTATE class 23 is a broken constraint. Classes 08, 40, 53, 55, 57, 58 and XX (connection, rollback, resources, state,
 * shutdown, system, internal), a server that became read-only, and errors with no SQLSTATE (sockets, time-outs) mean
 * that the store is away.
 */
function asStoreError(error: Error & { code?: string }): Error {
  const code = error.code ?? ''
  if (code.startsWith('23')) return new StoreError('conflict', error.message, { cause: error })
  const sqlState = /^[0-9A-Z]{5}$/.test(code) && !code.startsWith('E')
  if (!sqlState || /^(08|40|53|55|57|58|XX|25006)/.test(code)) {
    return new StoreError('unavailable', `the database failed: ${error.message}`, { cause: error })
  }
  return error
}

function describe(url: string): string {
  try {
    const { hostname, port, pathname } = new URL(url)
    return `${hostname || 'localhost'}:${port || 5432}${pathname}`
  } catch {
    return 'the configured address'
  }
}
