/** What the event loop asks of the SQLite thread; `close` as SQL ends it. */
export interface SqliteRequest {
  id: number
  sql: string
  parameters: readonly unknown[]
}

export interface SqliteAnswer {
  id: number
  rows: unknown[]
  changes?: number
  error?: { message: string; number: number; code: string }
}
