import type { Database } from '../storage/store.ts'
import type { AuditEventRow } from '../storage/tables.ts'
import type { AuditHead } from './event.ts'

const pageSize = 1000

/** An event as it is shown and verified outside: its members and the `hash` that chains it. */
export type ExportedEvent = Record<string, unknown> & { chain: string; sequence: number; hash: string }

/** Every event of every chain, each chain in its order. */
export async function* exportEvents(database: Database): AsyncGenerator<ExportedEvent> {
  const chains = await database.selectFrom('audit_events').select('chain').distinct().orderBy('chain').execute()
  for (const { chain } of chains) {
    let after = 0
    for (;;) {
      const rows = await database
        .selectFrom('audit_events')
        .selectAll()
        .where('chain', '=', chain)
        .where('sequence', '>', after)
        .orderBy('sequence')
        .limit(pageSize)
        .execute()
      for (const row of rows) yield exportedEvent(row)
      if (rows.length < pageSize) break
      after = rows.at(-1)?.sequence ?? after
    }
  }
}

export function exportHeads(database: Database): Promise<AuditHead[]> {
  return database.selectFrom('audit_heads').selectAll().orderBy('chain').execute()
}

/**
 * The event as it was hashed. The columns beside it are what is searched, so where one of them says otherwise the event
 * is given a member more, and fits no hash; neither does a text that is no JSON any more.
 */
export function exportedEvent(row: AuditEventRow): ExportedEvent {
  const { event, hash, ...columns } = row
  const members = membersOf(event)
  const differing = Object.entries(columns).filter(([name, value]) => (members[name] ?? null) !== value)
  const altered = differing.length === 0 ? {} : { altered_columns: differing.map(([name]) => name) }
  return { ...members, ...altered, chain: row.chain, sequence: row.sequence, hash }
}

function membersOf(text: string): Record<string, unknown> {
  try {
    const members = JSON.parse(text)
    return typeof members === 'object' && members !== null ? members : { unreadable: true }
  } catch {
    return { unreadable: true }
  }
}
