import {
  type EntryRevision,
  EntryService,
  type SyncAuthorizedEntriesRequest,
  type SyncAuthorizedEntriesResponse,
} from '@countersign/spiffe/protocol/spire-entry'
import { type Entry, EntryMask } from '@countersign/spiffe/protocol/spire-types'
import type { ClientDuplexStream } from '@grpc/grpc-js'
import { AgentError, reasonOf } from '../agent-error.ts'
import type { AgentLog } from '../agent-log.ts'
import type { ServerConnection } from '../server-connection/server-connection.ts'
import { type AuthorizedEntry, parseEntry } from './authorized-entry.ts'

/** More than any node has; a server that sends more is not believed. */
const mostEntries = 100_000

const wanted = EntryMask.fromPartial({
  spiffeId: true,
  selectors: true,
  federatesWith: true,
  admin: true,
  downstream: true,
  expiresAt: true,
  revisionNumber: true,
  storeSvid: true,
  hint: true,
  createdAt: true,
  additionalAttributes: true,
})

/**
 * Asks for this node's entries. Where there are many the server first tells their revisions, and only those that are
 * not known yet, in that revision, are fetched.
 * @param known by entry id
 * @returns all entries of the node, by id; those that did not change are the very ones given
 */
export async function syncEntries(
  connection: ServerConnection,
  known: ReadonlyMap<string, AuthorizedEntry>,
  log: AgentLog,
): Promise<Map<string, AuthorizedEntry>> {
  const stream = connection.stream(EntryService.syncAuthorizedEntries)
  const answers = stream[Symbol.asyncIterator]() as AsyncIterator<SyncAuthorizedEntriesResponse>
  try {
    stream.write({ outputMask: wanted, ids: [] })
    const first = await nextAnswer(answers)
    if (first.entryRevisions.length === 0 && !first.more) return parseEntries(first.entries, known, log)
    return await syncByRevision(stream, answers, first, known, log)
  } finally {
    stream.cancel()
  }
}

async function syncByRevision(
  stream: ClientDuplexStream<SyncAuthorizedEntriesRequest, SyncAuthorizedEntriesResponse>,
  answers: AsyncIterator<SyncAuthorizedEntriesResponse>,
  first: SyncAuthorizedEntriesResponse,
  known: ReadonlyMap<string, AuthorizedEntry>,
  log: AgentLog,
): Promise<Map<string, AuthorizedEntry>> {
  const pageSize = Math.max(1, first.entryRevisions.length)
  const revisions: EntryRevision[] = [...first.entryRevisions]
  for (let answer = first; answer.more; ) {
    answer = await nextAnswer(answers)
    revisions.push(...answer.entryRevisions)
    if (revisions.length > mostEntries)
      throw new AgentError('invalid_answer', `the server names more than ${mostEntries} entries`)
  }
  const isKnown = ({ id, revisionNumber, createdAt }: EntryRevision) => {
    const before = known.get(id)
    return before?.revisionNumber === revisionNumber && before.createdAt === createdAt
  }
  const missing = revisions.filter((revision) => !isKnown(revision)).map(({ id }) => id)
  missing.sort()
  const fetched: Entry[] = []
  for (let at = 0; at < missing.length; at += pageSize) {
    stream.write({ outputMask: undefined, ids: missing.slice(at, at + pageSize) })
    for (let more = true; more; ) {
      const answer = await nextAnswer(answers)
      fetched.push(...answer.entries)
      more = answer.more
    }
  }
  const entries = parseEntries(fetched, known, log)
  for (const revision of revisions) {
    const before = known.get(revision.id)
    if (before !== undefined && isKnown(revision)) entries.set(before.id, before)
  }
  return entries
}

async function nextAnswer(
  answers: AsyncIterator<SyncAuthorizedEntriesResponse>,
): Promise<SyncAuthorizedEntriesResponse> {
  const { value, done } = await answers.next()
  if (done) throw new AgentError('unavailable', 'the server ended the synchronization of entries too early')
  return value
}

function parseEntries(
  received: readonly Entry[],
  known: ReadonlyMap<string, AuthorizedEntry>,
  log: AgentLog,
): Map<string, AuthorizedEntry> {
  const entries = new Map<string, AuthorizedEntry>()
  if (received.length > mostEntries)
    throw new AgentError('invalid_answer', `the server sends more than ${mostEntries} entries`)
  for (const entry of received) {
    try {
      const parsed = parseEntry(entry)
      const before = known.get(parsed.id)
      const same = before?.revisionNumber === parsed.revisionNumber && before.createdAt === parsed.createdAt
      entries.set(parsed.id, before !== undefined && same ? before : parsed)
    } catch (error) {
      log.warn({ entry_id: entry.id, reason: reasonOf(error) }, 'an entry of the server cannot be used and is left out')
    }
  }
  return entries
}
