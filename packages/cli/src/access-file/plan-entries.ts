import { type AdminApi, path } from '../admin-api.ts'
import type { Entry } from '../resources.ts'
import { entryKey, entryName, isOfJoinToken, type WantedEntry } from './entry.ts'
import { allFields, changedFields, patchOf } from './field-changes.ts'
import type { Step } from './plan.ts'

export function planEntries(wanted: readonly WantedEntry[], present: readonly Entry[]): Step[] {
  const known = new Map(present.map((entry) => [entryKey(entry), entry]))
  return wanted.flatMap((entry) => planEntry(entry, known.get(entryKey(entry))))
}

function planEntry(entry: WantedEntry, present: Entry | undefined): Step[] {
  const { spiffe_id: _id, parent_id: _parent, selectors: _selectors, ...wanted } = entry
  const name = entryName(entry)
  if (present === undefined) {
    const run = (admin: AdminApi) => admin.send('POST', '/entries', entry)
    return [{ action: 'create', kind: 'entry', name, fields: allFields(wanted), run }]
  }
  const fields = changedFields(present, wanted)
  const run = (admin: AdminApi) => admin.send('PATCH', path`/entries/${present.id}`, patchOf(fields))
  return fields.length === 0 ? [] : [{ action: 'update', kind: 'entry', name, fields, run }]
}

/** Those that the file does not name. */
export function planPruningEntries(wanted: readonly WantedEntry[], present: readonly Entry[]): Step[] {
  const named = new Set(wanted.map(entryKey))
  return present
    .filter((entry) => !named.has(entryKey(entry)) && !isOfJoinToken(entry))
    .map((entry) => ({
      action: 'delete',
      kind: 'entry',
      name: entryName(entry),
      fields: [],
      run: (admin) => admin.send('DELETE', path`/entries/${entry.id}`),
    }))
}
