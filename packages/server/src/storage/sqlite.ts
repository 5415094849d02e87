import { chmodSync, closeSync, existsSync, mkdirSync, openSync } from 'node:fs'
import { dirname } from 'node:path'
import { Worker } from 'node:worker_threads'
import {
  CompiledQuery,
  type DatabaseConnection,
  type Driver,
  Kysely,
  type QueryResult,
  SqliteAdapter,
  SqliteIntrospector,
  SqliteQueryCompiler,
} from 'kysely'
import { migrate } from './migrations.ts'
import type { SqliteAnswer, SqliteRequest } from './sqlite-protocol.ts'
import { type Store, StoreError } from './store.ts'
import type { Tables } from './tables.ts'

/**
 * The embedded store: one file, one writer process, WAL with `synchronous=FULL`.
 * @throws StoreError `unavailable` when the file cannot be opened or is not a database
 */
export async function openSqliteStore(path: string): Promise<Store> {
  if (path !== ':memory:') prepareFile(path)
  const thread = new SqliteThread(path)
  await thread.ready
  const driver = new SqliteDriver(thread)
  const database = new Kysely<Tables>({
    dialect: {
      createAdapter: () => new SqliteAdapter(),
      createDriver: () => driver,
      createIntrospector: (db) => new SqliteIntrospector(db),
      createQueryCompiler: () => new SqliteQueryCompiler(),
    },
  })
  try {
    await migrate(database)
  } catch (error) {
    await database.destroy()
    if (error instanceof StoreError) throw error
    throw new StoreError('unavailable', `the database file ${path} cannot be used: ${(error as Error).message}`)
  }
  const listeners = new Set<() => void>()
  return {
    kind: 'sqlite',
    database,
    async transaction(work) {
      const result = await database.transaction().execute(work)
      for (const listener of listeners) listener()
      return result
    },
    async write(statements) {
      await driver.acquireConnection()
      try {
        await thread.ask(statements)
      } finally {
        await driver.releaseConnection()
      }
    },
    async listen(onChange) {
      listeners.add(onChange)
      return async () => void listeners.delete(onChange)
    },
    async ping() {
      await thread.ask({ sql: 'select 1', parameters: [] })
    },
    close: () => database.destroy(),
  }
}

/** The database holds hashes and sealed keys: nobody but its owner has a reason to read it. */
function prepareFile(path: string): void {
  try {
    mkdirSync(dirname(path), { recursive: true, mode: 0o700 })
    if (!existsSync(path)) closeSync(openSync(path, 'a', 0o600))
    chmodSync(path, 0o600)
  } catch (error) {
    throw new StoreError('unavailable', `cannot open the database file ${path}: ${(error as Error).message}`)
  }
}

const workerFile = import.meta.url.endsWith('.ts') ? './sqlite-worker.ts' : './sqlite-worker.js'

class SqliteThread {
  readonly ready: Promise<void>
  readonly #worker: Worker
  readonly #waiting = new Map<number, { resolve: (answer: SqliteAnswer) => void; reject: (error: Error) => void }>()
  readonly #path: string
  #nextId = 1
  #ended: Error | undefined

  constructor(path: string) {
    this.#path = path
    this.#worker = new Worker(new URL(workerFile, import.meta.url), {
      workerData: { path },
      // It only passes rows on: a large nursery would be memory for nothing.
      resourceLimits: { maxYoungGenerationSizeMb: 2 },
    })
    this.#worker.unref()
    this.ready = new Promise((resolve, reject) => {
      this.#waiting.set(0, { resolve: () => resolve(), reject })
    })
    this.#worker.on('message', (answer: SqliteAnswer) => {
      const waiting = this.#waiting.get(answer.id)
      this.#waiting.delete(answer.id)
      waiting?.resolve(answer)
      if (this.#waiting.size === 0) this.#worker.unref()
    })
    const end = (reason: Error) => {
      this.#ended = new StoreError('unavailable', `the database file ${path} cannot be used: ${reason.message}`)
      for (const { reject } of this.#waiting.values()) reject(this.#ended)
      this.#waiting.clear()
    }
    this.#worker.on('error', end)
    this.#worker.on('exit', () => end(new Error('its thread has ended')))
  }

  async ask(ask: SqliteRequest['ask']): Promise<SqliteAnswer> {
    if (this.#ended) throw this.#ended
    const id = this.#nextId++
    const answer = await new Promise<SqliteAnswer>((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject })
      this.#worker.ref()
      this.#worker.postMessage({ id, ask } satisfies SqliteRequest)
    })
    if (answer.error) throw asStoreError(answer.error, this.#path)
    return answer
  }

  async close(): Promise<void> {
    await this.ask('close').catch(() => {})
    await this.#worker.terminate()
  }
}

/** Permission, read-only, I/O, corrupt, full, cannot open, not a database */
const faultsOfTheFile = new Set([3, 8, 10, 11, 13, 14, 26])

/** https://www.sqlite.org/rescode.html: 19 is a constraint; busy, full, I/O and the like mean that the store is away. */
function asStoreError(error: { message: string; number: number }, path: string): Error {
  const primary = error.number & 0xff
  if (primary === 19) return new StoreError('conflict', error.message)
  if (faultsOfTheFile.has(primary))
    return new StoreError('unavailable', `the database file ${path} cannot be used: ${error.message}`)
  return new StoreError('unavailable', `the database failed: ${error.message}`)
}

/** One connection; kysely hands it to one transaction at a time. */
class SqliteDriver implements Driver {
  readonly #thread: SqliteThread
  readonly #connection: DatabaseConnection
  #free: Promise<void> = Promise.resolve()
  #release: () => void = () => {}

  constructor(thread: SqliteThread) {
    this.#thread = thread
    this.#connection = {
      executeQuery: async <R>(query: CompiledQuery): Promise<QueryResult<R>> => {
        const answer = await thread.ask({ sql: query.sql, parameters: query.parameters })
        return {
          rows: answer.rows as R[],
          numAffectedRows: answer.changes === undefined ? undefined : BigInt(answer.changes),
        }
      },
      // biome-ignore lint/correctness/useYield: SQLite's whole result is there at once; nothing here streams.
      streamQuery: async function* () {
        throw new Error('streaming is not supported: page with a cursor instead')
      },
    }
  }

  async init(): Promise<void> {}

  async acquireConnection(): Promise<DatabaseConnection> {
    const before = this.#free
    const { promise, resolve } = Promise.withResolvers<void>()
    this.#free = promise
    await before
    this.#release = resolve
    return this.#connection
  }

  async releaseConnection(): Promise<void> {
    this.#release()
  }

  async beginTransaction(connection: DatabaseConnection): Promise<void> {
    await connection.executeQuery(CompiledQuery.raw('begin immediate'))
  }

  async commitTransaction(connection: DatabaseConnection): Promise<void> {
    await connection.executeQuery(CompiledQuery.raw('commit'))
  }

  async rollbackTransaction(connection: DatabaseConnection): Promise<void> {
    // After a full disk SQLite has rolled back by itself, and says so: the first error is the one to tell.
    await connection.executeQuery(CompiledQuery.raw('rollback')).catch(() => {})
  }

  async destroy(): Promise<void> {
    await this.#thread.close()
  }
}
