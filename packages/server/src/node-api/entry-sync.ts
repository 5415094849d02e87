import type { SyncAuthorizedEntriesRequest } from '@countersign/spiffe/protocol/spire-entry'
import type { RegistrationEntry } from '../registration-entries/registration-entry.ts'
import { invalidArgument } from './rpc-error.ts'
import { type EntryForm, type WrittenEntries, withMore, writtenEntries, writtenRevisions } from './written-entries.ts'

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
 * @param send takes a `SyncAuthorizedEntriesResponse` as bytes; what it throws ends the call
 * @throws RpcError INVALID_ARGUMENT
 */
export async function syncEntries(
  next: () => Promise<SyncAuthorizedEntriesRequest | undefined>,
  send: (response: Buffer) => Promise<void>,
  authorized: () => SyncedEntries,
): Promise<void> {
  const first = await next()
  if (!first) throw invalidArgument('the call ended before its first message')
  if (first.ids.length > 0) throw invalidArgument('the first message may not name entries')
  const mask = first.outputMask
  if (mask && !mask.revisionNumber) throw invalidArgument('the output mask must contain the revision number')
  const { entries, withPolicies } = authorized()
  const written = writtenEntries({ mask, withPolicies })
  const whole = entries.length <= pageSize ? written.whole(entries, largestMessage) : undefined
  if (whole) return send(whole)
  for (const page of writtenRevisions(entries, pageSize)) await send(page)
  let byId: Map<string, RegistrationEntry> | undefined
  for (let request = await next(); request; request = await next()) {
    if (request.ids.length > pageSize) throw invalidArgument(`name at most ${pageSize} entries at once`)
    byId ??= new Map(entries.map((entry) => [entry.id, entry]))
    const asked = [...new Set(request.ids)].flatMap((id) => byId?.get(id) ?? [])
    for (const page of pagesOf(asked, written)) await send(page)
  }
}

/** Each within what a message may hold; one that is empty where there is nothing. */
function pagesOf(entries: readonly RegistrationEntry[], written: WrittenEntries): Buffer[] {
  const pages: Buffer[][] = [[]]
  let size = 0
  for (const entry of entries) {
    const part = written.entry(entry)
    if (size > 0 && size + part.length > largestMessage) {
      pages.push([])
      size = 0
    }
    pages.at(-1)?.push(part)
    size += part.length
  }
  return pages.map((parts, index) => (index < pages.length - 1 ? withMore(parts) : Buffer.concat(parts)))
}

/** Whether all of them fit into one message. */
export function fitInOneMessage(entries: readonly RegistrationEntry[], form: EntryForm): boolean {
  return writtenEntries(form).whole(entries, largestMessage) !== undefined
}
