import type {
  EntryRevision,
  SyncAuthorizedEntriesRequest,
  SyncAuthorizedEntriesResponse,
} from '@countersign/spiffe/protocol/spire-entry'
import { Entry, type EntryMask } from '@countersign/spiffe/protocol/spire-types'
import type { RegistrationEntry } from '../registration-entries/registration-entry.ts'
import { toWireEntry } from './entry-message.ts'
import { invalidArgument } from './rpc-error.ts'

/** Up to so many entries come whole; of more, first the revisions. SPIRE's agents ask for at most so many at once. */
const pageSize = 500
/** go-grpc takes 4 MiB. */
const largestMessage = 3 * 1024 * 1024

export interface SyncedEntries {
  /** What this agent may have, at the beginning of the call */
  entries: readonly RegistrationEntry[]
  withPolicies: boolean
}

/**
 * SyncAuthorizedEntries from the first message to the last (SPIRE's API; the client ends it, or cancels).
 * @throws RpcError INVALID_ARGUMENT
 */
export async function syncEntries(
  next: () => Promise<SyncAuthorizedEntriesRequest | undefined>,
  send: (response: SyncAuthorizedEntriesResponse) => Promise<void>,
  authorized: () => SyncedEntries,
): Promise<void> {
  const first = await next()
  if (!first) throw invalidArgument('the call ended before its first message')
  if (first.ids.length > 0) throw invalidArgument('the first message may not name entries')
  const mask = first.outputMask
  if (mask && !mask.revisionNumber) throw invalidArgument('the output mask must contain the revision number')
  const { entries, withPolicies } = authorized()
  const whole = entries.length <= pageSize && wholeEntries(entries, mask, withPolicies)
  if (whole) return send({ entryRevisions: [], entries: whole, more: false })
  for (const page of revisionPages(entries)) await send(page)
  const byId = new Map(entries.map((entry) => [entry.id, entry]))
  for (let request = await next(); request; request = await next()) {
    if (request.ids.length > pageSize) throw invalidArgument(`name at most ${pageSize} entries at once`)
    const asked = [...new Set(request.ids)].flatMap((id) => byId.get(id) ?? [])
    const pages = pagesOf(asked, mask, withPolicies)
    for (const [index, page] of pages.entries()) {
      await send({ entryRevisions: [], entries: page, more: index < pages.length - 1 })
    }
  }
}

/** All in one message, or nothing when they do not fit into one. */
export function wholeEntries(
  entries: readonly RegistrationEntry[],
  mask: EntryMask | undefined,
  withPolicies: boolean,
): Entry[] | undefined {
  const pages = pagesOf(entries, mask, withPolicies)
  return pages.length === 1 ? pages[0] : undefined
}

/** Each within what a message may hold; one that is empty where there is nothing. */
function pagesOf(
  entries: readonly RegistrationEntry[],
  mask: EntryMask | undefined,
  withPolicies: boolean,
): readonly Entry[][] {
  const pages: Entry[][] = [[]]
  let size = 0
  for (const entry of entries) {
    const message = toWireEntry(entry, mask, withPolicies)
    const length = Entry.encode(message).finish().length + 8
    if (size > 0 && size + length > largestMessage) {
      pages.push([])
      size = 0
    }
    pages.at(-1)?.push(message)
    size += length
  }
  return pages
}

function* revisionPages(entries: readonly RegistrationEntry[]): Generator<SyncAuthorizedEntriesResponse> {
  for (let start = 0; start < entries.length; start += pageSize) {
    const entryRevisions = entries.slice(start, start + pageSize).map(revisionOf)
    yield { entryRevisions, entries: [], more: start + pageSize < entries.length }
  }
}

function revisionOf({ id, revisionNumber, createdAt }: RegistrationEntry): EntryRevision {
  return { id, revisionNumber, createdAt }
}
