import type { Statement } from './store.ts'

/** What the event loop asks of the SQLite thread: one statement, several in a transaction, or to end. */
export interface SqliteRequest {
  id: number
  ask: Statement | readonly Statement[] | 'close'
}

export interface SqliteAnswer {
  id: number
  rows: unknown[]
  changes?: number
  error?: { message: string; number: number; code: string }
}
