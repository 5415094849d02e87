import type { Store } from '../storage/store.ts'
import type { AuditEventRow } from '../storage/tables.ts'
import { type EventFilter, type EventPlace, readChain } from './read-events.ts'

const batch = 200
/** Replicas' clocks may be this far apart, and a commit may take as long, without an event being missed. */
const overlapMilliseconds = 10_000

/** Follows every replica's chain from some place on. Each call of `read` yields what has become durable since. */
export interface EventFollower {
  read(): AsyncGenerator<AuditEventRow[]>
}

/**
 * @param from a place to go on from, a time (RFC 3339 in UTC with milliseconds) to begin at, or undefined for "from
 * now". Going on repeats what other chains wrote within ten seconds of the place: never less than all, sometimes twice.
 */
export async function followEvents(
  store: Store,
  filter: EventFilter,
  from: EventPlace | string | undefined,
): Promise<EventFollower> {
  const positions = await positionsAt(store, from)
  let seenUntil = ''
  return {
    async *read() {
      for (const { chain, sequence, time } of await headsSince(store, seenUntil)) {
        if (filter.chain !== undefined && filter.chain !== chain) continue
        for await (const rows of grown(store, chain, sequence, filter, positions)) {
          const wanted = typeof from === 'string' ? rows.filter((row) => row.time >= from) : rows
          if (wanted.length > 0) yield wanted
        }
        const settled = earlier(time)
        if (settled > seenUntil) seenUntil = settled
      }
    },
  }
}

async function* grown(
  store: Store,
  chain: string,
  headSequence: number,
  filter: EventFilter,
  positions: Map<string, number>,
): AsyncGenerator<AuditEventRow[]> {
  let position = positions.get(chain) ?? 0
  while (position < headSequence) {
    const rows = await readChain(store, chain, position, filter, batch)
    position = rows.length < batch ? Math.max(headSequence, rows.at(-1)?.sequence ?? 0) : rows.at(-1)!.sequence
    positions.set(chain, position)
    if (rows.length > 0) yield rows
  }
}

async function positionsAt(store: Store, from: EventPlace | string | undefined): Promise<Map<string, number>> {
  const heads = await headsSince(store, '')
  const positions = new Map(heads.map(({ chain, sequence }) => [chain, sequence]))
  if (from === undefined) return positions
  // Within a chain times go back a little too: a change takes its place before facts that waited for it.
  const since = earlier(typeof from === 'string' ? from : from[0])
  for (const { chain, time } of heads) {
    // Heads are signed a moment after the last event's own time.
    if (time < since) continue
    const before = await store.database
      .selectFrom('audit_events')
      .select('sequence')
      .where('chain', '=', chain)
      .where('time', '<', since)
      .orderBy('sequence', 'desc')
      .limit(1)
      .executeTakeFirst()
    positions.set(chain, before?.sequence ?? 0)
  }
  if (typeof from !== 'string') positions.set(from[1], Math.max(from[2], 0))
  return positions
}

/** A replica that started anew begins another chain, so that most heads are of the past and need no look. */
function headsSince(store: Store, time: string) {
  return store.database
    .selectFrom('audit_heads')
    .select(['chain', 'sequence', 'time'])
    .where('time', '>=', time)
    .execute()
}

function earlier(time: string): string {
  const milliseconds = Date.parse(time)
  return Number.isNaN(milliseconds) ? '' : new Date(Math.max(0, milliseconds - overlapMilliseconds)).toISOString()
}
