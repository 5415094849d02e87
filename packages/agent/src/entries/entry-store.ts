import type { AuthorizedEntry } from './authorized-entry.ts'

/** The entries of this node as last synchronized. */
export interface EntryStore {
  /** The same map as long as nothing changed. */
  all(): ReadonlyMap<string, AuthorizedEntry>
  replace(entries: ReadonlyMap<string, AuthorizedEntry>): void
  /** Called after entries came, went or changed, with those that went. */
  onChange(listener: (removed: readonly AuthorizedEntry[]) => void): () => void
}

export function createEntryStore(): EntryStore {
  let entries: ReadonlyMap<string, AuthorizedEntry> = new Map()
  const listeners = new Set<(removed: readonly AuthorizedEntry[]) => void>()
  return {
    all: () => entries,
    replace(next) {
      const before = entries
      const removed = [...before.values()].filter(({ id }) => !next.has(id))
      const same = next.size === before.size && [...next.values()].every((entry) => before.get(entry.id) === entry)
      if (same) return
      entries = next
      for (const listener of listeners) listener(removed)
    },
    onChange(listener) {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
  }
}
