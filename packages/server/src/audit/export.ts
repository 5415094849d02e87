import type { Database } from '../storage/store.ts'
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
 * The columns win over the text that was hashed: they are what is searched, so an alteration of them must show too.
 * A text that is no JSON any more gives an event that fits no hash.
 */
export function exportedEvent(row: {
  chain: string
  sequence: number
  time: string
  type: string
  outcome: string
  client_id: string | null
  event: string
  hash: string
}): ExportedEvent {
  const { chain, sequence, time, type, outcome, hash } = row
  const client = row.client_id === null ? {} : { client_id: row.client_id }
  return { ...membersOf(row.event), chain, sequence, time, type, outcome, ...client, hash }
}

function membersOf(text: string): Record<string, unknown> {
  try {
    const { client_id: _client, ...members } = JSON.parse(text)
    return members
  } catch {
    return { unreadable: true }
  }
}
