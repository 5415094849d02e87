import { randomBytes } from 'node:crypto'
import { sql } from 'kysely'
import type { Store } from '../storage/store.ts'
import type { RevocationRow } from '../storage/tables.ts'

/**
 * One line of the feed. A `client_id` with `before` speaks of its tokens with `iat` up to then; a `kid` of all it signed;
 * a `serial` (lower-case hex) of one X.509-SVID. The `jti` may be that of a JWT-SVID.
 */
export type FeedItem =
  | { revision: number; jti: string; spiffe_id?: string; exp: number }
  | { revision: number; client_id: string; before: number }
  | { revision: number; kid: string }
  | { revision: number; serial: string; spiffe_id?: string; exp: number }

export interface FeedPage {
  items: FeedItem[]
  /** Where to go on, now or when there is more */
  next: string
  has_more: boolean
}

/** Which APIs a reader sees; what concerns all APIs everybody sees who may read at all. */
export type FeedReader = { audiences: 'all' | readonly string[] }

/** The reader must begin anew: `too_old` when it may have missed rows, `malformed` when we never gave this cursor. */
export class CursorError extends Error {
  readonly code: 'malformed' | 'too_old'

  constructor(code: 'malformed' | 'too_old') {
    super(code === 'malformed' ? 'the cursor is not one of this feed' : 'the cursor is too old: begin without one')
    this.name = 'CursorError'
    this.code = code
  }
}

/** Forgotten by a restore: the old store's revisions will be counted a second time, so no old cursor may be taken. */
const epochSetting = 'revocation_feed_epoch'
const prunedSetting = 'revocation_feed_pruned'
/** A verifier may allow for a clock that is off by this. */
const leewaySeconds = 60
/** Readers who come back within this time after the last token died need not begin anew. */
const keptSeconds = 3600

/**
 * @param cursor `next` of an earlier page; undefined begins with the oldest revocation that still matters
 * @throws CursorError, StoreError `unavailable`
 */
export async function readFeed(
  store: Store,
  reader: FeedReader,
  options: { cursor: string | undefined; limit: number; now: number },
): Promise<FeedPage> {
  const { database } = store
  const epoch = await feedEpoch(store)
  // Read before the rows: revisions commit in order, so every row up to this one is there to be seen.
  const { value: latest } = await database.selectFrom('store_revision').select('value').executeTakeFirstOrThrow()
  const after = options.cursor === undefined ? 0 : await revisionOf(options.cursor, epoch, latest, store)
  const rows = await database
    .selectFrom('revocations')
    .selectAll()
    .where('revision', '>', after)
    .where('revision', '<=', latest)
    .where('expires_at', '>', options.now - leewaySeconds)
    .$if(reader.audiences !== 'all', (query) =>
      query.where((where) =>
        where.or([
          where('audience', 'is', null),
          ...(reader.audiences.length > 0 ? [where('audience', 'in', reader.audiences as string[])] : []),
        ]),
      ),
    )
    .orderBy('revision')
    .limit(options.limit + 1)
    .execute()
  const has_more = rows.length > options.limit
  const items = rows.slice(0, options.limit).map(itemOf)
  const last = has_more ? (items.at(-1)?.revision ?? latest) : latest
  return { items, next: cursorAt(epoch, last), has_more }
}

/** A cursor for where one item ends. */
export function cursorAfter(page: FeedPage, item: FeedItem): string {
  return cursorAt(page.next.split('.')[0] ?? '', item.revision)
}

/** Drops what no token alive can be concerned by, and remembers up to where, for readers who were away too long. */
export async function pruneRevocations(store: Store, now: number): Promise<void> {
  const due = await store.database
    .selectFrom('revocations')
    .select((row) => row.fn.max('revision').as('revision'))
    .where('expires_at', '<', now - keptSeconds)
    .executeTakeFirst()
  if (!due || due.revision === null) return
  await store.transaction(async (transaction) => {
    await transaction
      .deleteFrom('revocations')
      .where('expires_at', '<', now - keptSeconds)
      .execute()
    await transaction
      .insertInto('settings')
      .values({ name: prunedSetting, value: String(due.revision) })
      .onConflict((conflict) =>
        conflict
          .column('name')
          .doUpdateSet({ value: String(due.revision) })
          .where(sql`cast(settings.value as bigint)`, '<', due.revision),
      )
      .execute()
  })
}

async function feedEpoch({ database }: Store): Promise<string> {
  const known = await settingOf(epochSetting, database)
  if (known !== undefined) return known
  await database
    .insertInto('settings')
    .values({ name: epochSetting, value: randomBytes(6).toString('hex') })
    .onConflict((conflict) => conflict.column('name').doNothing())
    .execute()
  return (await settingOf(epochSetting, database)) as string
}

async function revisionOf(cursor: string, epoch: string, latest: number, { database }: Store): Promise<number> {
  const match = /^([0-9a-f]{12})\.(\d{1,15})$/.exec(cursor)
  if (!match) throw new CursorError('malformed')
  const revision = Number(match[2])
  const pruned = Number((await settingOf(prunedSetting, database)) ?? 0)
  if (match[1] !== epoch || revision > latest || revision < pruned) throw new CursorError('too_old')
  return revision
}

async function settingOf(name: string, database: Store['database']): Promise<string | undefined> {
  const row = await database.selectFrom('settings').select('value').where('name', '=', name).executeTakeFirst()
  return row?.value
}

function cursorAt(epoch: string, revision: number): string {
  return `${epoch}.${revision}`
}

function itemOf(row: RevocationRow): FeedItem {
  const whose = row.spiffe_id === null ? {} : { spiffe_id: row.spiffe_id }
  if (row.jti !== null) return { revision: row.revision, jti: row.jti, ...whose, exp: row.expires_at }
  if (row.serial !== null) return { revision: row.revision, serial: row.serial, ...whose, exp: row.expires_at }
  if (row.kid !== null) return { revision: row.revision, kid: row.kid }
  return { revision: row.revision, client_id: row.client_id ?? '', before: row.before ?? 0 }
}
