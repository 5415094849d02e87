import type { Statement, Store } from '../storage/store.ts'
import type { AuditHead } from './event.ts'

/**
 * Writes events and their chain's new head. All rows travel as one JSON text: one parameter and one statement that the
 * database knows already, however many there are.
 * @param rows chain, sequence, time, type, outcome, client_id, event, hash
 */
export function appendStatements(kind: Store['kind'], rows: unknown[][], head: AuditHead): readonly Statement[] {
  const json = JSON.stringify(rows)
  const newHead = [head.chain, head.sequence, head.hash, head.time, head.signature]
  if (kind === 'postgres') return [{ sql: appendOnPostgres, parameters: [json, ...newHead] }]
  return [
    { sql: insertOnSqlite, parameters: [json] },
    { sql: `${insertHead} values (?, ?, ?, ?, ?) ${replaceHead}`, parameters: newHead },
  ]
}

const columns = '(chain, sequence, time, type, outcome, client_id, event, hash)'
const insertHead = 'insert into audit_heads (chain, sequence, hash, time, signature)'
const replaceHead = `on conflict (chain) do update set
  sequence = excluded.sequence, hash = excluded.hash, time = excluded.time, signature = excluded.signature`

const insertOnSqlite = `insert into audit_events ${columns}
  select value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4, value ->> 5, value ->> 6, value ->> 7
  from json_each(?)`

/** One statement is one trip and a transaction by itself. */
const appendOnPostgres = `with appended as (
  insert into audit_events ${columns}
  select row ->> 0, (row ->> 1)::bigint, row ->> 2, row ->> 3, row ->> 4, row ->> 5, row ->> 6, row ->> 7
  from json_array_elements($1::json) as row
) ${insertHead} values ($2, $3::bigint, $4, $5, $6) ${replaceHead}`
