// Owns the SQLite file on a thread of its own, so that an fsync never holds up the event loop.
import { DatabaseSync, type SQLInputValue, type StatementSync } from 'node:sqlite'
import { parentPort, workerData } from 'node:worker_threads'
import type { SqliteAnswer, SqliteRequest } from './sqlite-protocol.ts'
import type { Statement } from './store.ts'

const database = new DatabaseSync(workerData.path, { timeout: 5_000 })
for (const pragma of ['journal_mode = WAL', 'synchronous = FULL', 'foreign_keys = ON', 'trusted_schema = OFF']) {
  database.exec(`pragma ${pragma}`)
}

const statements = new Map<string, StatementSync>()
const statementsKept = 200

const port = parentPort as NonNullable<typeof parentPort>
port.on('message', (request: SqliteRequest) => port.postMessage(answer(request)))
port.postMessage({ id: 0, rows: [] } satisfies SqliteAnswer)

function answer({ id, ask }: SqliteRequest): SqliteAnswer {
  try {
    if (ask === 'close') {
      database.close()
      return { id, rows: [] }
    }
    return { id, ...('sql' in ask ? run(ask) : runTogether(ask)) }
  } catch (error) {
    const { message, errcode, code } = error as Error & { errcode?: number; code?: string }
    return { id, rows: [], error: { message, number: errcode ?? 0, code: code ?? '' } }
  }
}

function runTogether(asked: readonly Statement[]): Omit<SqliteAnswer, 'id'> {
  run({ sql: 'begin immediate', parameters: [] })
  try {
    for (const statement of asked) run(statement)
    return run({ sql: 'commit', parameters: [] })
  } catch (error) {
    // After a full disk SQLite has rolled back by itself.
    if (database.isTransaction) run({ sql: 'rollback', parameters: [] })
    throw error
  }
}

function run({ sql, parameters }: Statement): Omit<SqliteAnswer, 'id'> {
  const statement = prepared(sql)
  // `columns()` is empty for a statement that returns nothing: then only the counts matter.
  if (statement.columns().length > 0) return { rows: statement.all(...(parameters as SQLInputValue[])) }
  const { changes } = statement.run(...(parameters as SQLInputValue[]))
  return { rows: [], changes: Number(changes) }
}

function prepared(sql: string): StatementSync {
  const known = statements.get(sql)
  if (known) return known
  const statement = database.prepare(sql)
  if (statements.size >= statementsKept) statements.delete(statements.keys().next().value as string)
  statements.set(sql, statement)
  return statement
}
