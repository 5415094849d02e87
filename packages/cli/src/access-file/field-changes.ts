import { isDeepStrictEqual } from 'node:util'

export interface FieldChange {
  field: string
  from?: unknown
  to?: unknown
}

export function allFields(wanted: object): FieldChange[] {
  return Object.entries(wanted).map(([field, to]) => ({ field, to }))
}

export function changedFields(present: object, wanted: object): FieldChange[] {
  const before = present as Record<string, unknown>
  return Object.entries(wanted)
    .filter(([field, to]) => !isDeepStrictEqual(comparable(before[field]), comparable(to)))
    .map(([field, to]) => ({ field, from: before[field], to }))
}

export function patchOf(fields: readonly FieldChange[]): Record<string, unknown> {
  return Object.fromEntries(fields.map(({ field, to }) => [field, to]))
}

/** The order of a list means nothing in an access file. */
function comparable(value: unknown): unknown {
  return Array.isArray(value)
    ? value.map((item) => JSON.stringify(typeof item === 'object' ? Object.entries(item).sort() : item)).sort()
    : value
}
