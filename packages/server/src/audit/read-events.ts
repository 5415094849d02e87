import { sql } from 'kysely'
import type { Store } from '../storage/store.ts'
import type { AuditEventRow } from '../storage/tables.ts'
import type { ChainedEvent } from './event.ts'

/** Which events; what is left out filters nothing. Compared exactly. */
export interface EventFilter {
  type?: string | undefined
  outcome?: 'success' | 'failure' | undefined
  client_id?: string | undefined
  chain?: string | undefined
}

/** Where an event stands among all: unique, and in the order of time. Within one chain the sequence alone counts. */
export type EventPlace = readonly [time: string, chain: string, sequence: number]

export interface EventQuery extends EventFilter {
  /** RFC 3339 in UTC with milliseconds; `until` itself is not in it */
  since?: string | undefined
  until?: string | undefined
  order: 'asc' | 'desc'
  after?: EventPlace | undefined
  limit: number
}

export async function readEvents(store: Store, query: EventQuery): Promise<AuditEventRow[]> {
  let rows = filtered(allEvents(store), query)
  if (query.since !== undefined) rows = rows.where('time', '>=', query.since)
  if (query.until !== undefined) rows = rows.where('time', '<', query.until)
  if (query.chain !== undefined) return inChainOrder(rows, query)
  if (query.after) {
    const [time, chain, sequence] = query.after
    const place = sql`(time, chain, sequence)`
    const after = sql`(${time}, ${chain}, ${sequence})`
    rows = rows.where(query.order === 'asc' ? sql<boolean>`${place} > ${after}` : sql<boolean>`${place} < ${after}`)
  }
  return rows
    .orderBy('time', query.order)
    .orderBy('chain', query.order)
    .orderBy('sequence', query.order)
    .limit(query.limit)
    .execute()
}

/** Of one chain the order is its own: an event's time is when it happened, which need not be when it was chained. */
function inChainOrder(rows: Rows, { after, order, limit }: EventQuery): Promise<AuditEventRow[]> {
  const some = after ? rows.where('sequence', order === 'asc' ? '>' : '<', after[2]) : rows
  return some.orderBy('sequence', order).limit(limit).execute()
}

/** What one chain has grown by, in its own order: the order in which nothing is missed. */
export function readChain(
  store: Store,
  chain: string,
  afterSequence: number,
  filter: EventFilter,
  limit: number,
): Promise<AuditEventRow[]> {
  return filtered(allEvents(store), { ...filter, chain })
    .where('sequence', '>', afterSequence)
    .orderBy('sequence')
    .limit(limit)
    .execute()
}

export function viewEvent(row: AuditEventRow): ChainedEvent {
  return { ...JSON.parse(row.event), hash: row.hash }
}

export function placeOf(row: AuditEventRow): EventPlace {
  return [row.time, row.chain, row.sequence]
}

type Rows = ReturnType<typeof allEvents>

function allEvents({ database }: Pick<Store, 'database'>) {
  return database.selectFrom('audit_events').selectAll()
}

function filtered(rows: Rows, { type, outcome, client_id, chain }: EventFilter): Rows {
  let some = rows
  if (type !== undefined) some = some.where('type', '=', type)
  if (outcome !== undefined) some = some.where('outcome', '=', outcome)
  if (client_id !== undefined) some = some.where('client_id', '=', client_id)
  if (chain !== undefined) some = some.where('chain', '=', chain)
  return some
}
