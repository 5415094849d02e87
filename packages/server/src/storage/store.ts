import type { Kysely, Transaction } from 'kysely'
import type { Tables } from './tables.ts'

export type Database = Kysely<Tables>
export type StoreTransaction = Transaction<Tables>

/** The one place where the server keeps what must outlive it: SQLite for one machine, PostgreSQL for several. */
export interface Store {
  readonly kind: 'sqlite' | 'postgres'
  readonly database: Database
  /** Runs `work` atomically; its result is durable when the promise resolves. */
  transaction<T>(work: (transaction: StoreTransaction) => Promise<T>): Promise<T>
  /** Runs statements atomically, in one trip: for what is written so often that each trip counts. */
  write(statements: readonly Statement[]): Promise<void>
  /** Calls back (soon, perhaps needlessly) after another replica or this one has committed a change. */
  listen(onChange: () => void): Promise<() => Promise<void>>
  /** Throws StoreError `unavailable` when the database does not answer. */
  ping(): Promise<void>
  close(): Promise<void>
}

/** One statement, its parameters marked as the database at hand marks them. */
export interface Statement {
  readonly sql: string
  readonly parameters: readonly unknown[]
}

export type StoreErrorCode = 'unavailable' | 'conflict' | 'wrong_master_key' | 'corrupt_key' | 'bad_backup'

export class StoreError extends Error {
  readonly code: StoreErrorCode
  constructor(code: StoreErrorCode, message: string, options?: ErrorOptions) {
    super(message, options)
    this.name = 'StoreError'
    this.code = code
  }
}
