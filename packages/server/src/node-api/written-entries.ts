import { EntryRevision } from '@countersign/spiffe/protocol/spire-entry'
import { Entry, type EntryMask } from '@countersign/spiffe/protocol/spire-types'
import { LRUCache } from 'lru-cache'
import type { RegistrationEntry } from '../registration-entries/registration-entry.ts'
import { toWireEntry } from './entry-message.ts'

/** What of each entry an agent wants to see. All agents of one version want the same. */
export interface EntryForm {
  mask: EntryMask | undefined
  withPolicies: boolean
}

/**
 * Entries as parts of `SyncAuthorizedEntriesResponse`, in bytes. A thousand agents ask every five seconds for what
 * hardly ever changes, so each part is written once, and forgotten with the entry or the list that it is of.
 */
export class WrittenEntries {
  /** The part that one entry is. */
  readonly #entries = new WeakMap<RegistrationEntry, Buffer>()
  readonly #wholes = new WeakMap<readonly RegistrationEntry[], Buffer>()
  readonly #form: EntryForm

  constructor(form: EntryForm) {
    this.#form = form
  }

  entry(entry: RegistrationEntry): Buffer {
    let part = this.#entries.get(entry)
    if (!part) {
      part = lengthDelimited(2, Entry.encode(toWireEntry(entry, this.#form.mask, this.#form.withPolicies)).finish())
      this.#entries.set(entry, part)
    }
    return part
  }

  /** All of a list as one message, or undefined where it would be larger than that. */
  whole(entries: readonly RegistrationEntry[], largest: number): Buffer | undefined {
    const known = this.#wholes.get(entries)
    if (known) return known
    const parts = entries.map((entry) => this.entry(entry))
    if (parts.reduce((size, { length }) => size + length, 0) > largest) return undefined
    const message = Buffer.concat(parts)
    this.#wholes.set(entries, message)
    return message
  }
}

/** There are two or three; whoever asks for others only makes the rest forgotten. */
const forms = new LRUCache<string, WrittenEntries>({ max: 16 })

export function writtenEntries(form: EntryForm): WrittenEntries {
  const shown = Object.entries(form.mask ?? {}).filter(([, isShown]) => isShown)
  const key = `${form.withPolicies} ${form.mask === undefined ? 'all' : shown.map(([member]) => member).sort()}`
  let written = forms.get(key)
  if (!written) {
    written = new WrittenEntries(form)
    forms.set(key, written)
  }
  return written
}

const pages = new WeakMap<readonly RegistrationEntry[], Buffer[]>()

/** The revisions of a list, so many in a message; each but the last says that more follow. */
export function writtenRevisions(entries: readonly RegistrationEntry[], pageSize: number): readonly Buffer[] {
  let written = pages.get(entries)
  if (!written) {
    written = []
    for (let start = 0; start < entries.length; start += pageSize) {
      const parts = entries.slice(start, start + pageSize).map(revisionPart)
      written.push(start + pageSize < entries.length ? withMore(parts) : Buffer.concat(parts))
    }
    pages.set(entries, written)
  }
  return written
}

/** Field 3, `more`, is true. */
const more = Buffer.from([0x18, 0x01])

export function withMore(parts: readonly Buffer[]): Buffer {
  return Buffer.concat([...parts, more])
}

const revisions = new WeakMap<RegistrationEntry, Buffer>()

function revisionPart(entry: RegistrationEntry): Buffer {
  let part = revisions.get(entry)
  if (!part) {
    const { id, revisionNumber, createdAt } = entry
    part = lengthDelimited(1, EntryRevision.encode({ id, revisionNumber, createdAt }).finish())
    revisions.set(entry, part)
  }
  return part
}

/** Protocol Buffers encoding: tag with wire type 2, the length as a varint, the content. */
function lengthDelimited(field: number, content: Uint8Array): Buffer {
  const head = [(field << 3) | 2]
  let length = content.length
  for (; length > 0x7f; length >>>= 7) head.push((length & 0x7f) | 0x80)
  return Buffer.concat([Buffer.from([...head, length]), content])
}
