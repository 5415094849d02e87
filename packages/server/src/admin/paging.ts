import { z } from 'zod'
import { Problem } from '../http/problem.ts'
import { isOneLine } from './fields.ts'

/** Query members of every list. */
export const pageQuery = {
  limit: z.coerce.number().int().min(1).max(200).default(50).meta({ description: 'How many items at most' }),
  cursor: z.string().min(1).max(1024).optional().meta({ description: '"next" of the page before' }),
}

export interface Page {
  limit: number
  cursor?: string | undefined
}

export interface Paged<T> {
  items: T[]
  next: string | null
}

export function pageOf<T extends z.ZodType>(item: T) {
  return z.object({
    items: z.array(item),
    next: z.string().nullable().meta({ description: 'Cursor of the next page' }),
  })
}

/**
 * Cuts a page off rows that were read with `limit + 1`.
 * @param keyOf what the list is ordered by, unique to the row: the next page starts after it
 */
export function paged<Row, T>(
  rows: readonly Row[],
  { limit }: Page,
  keyOf: (row: Row) => readonly (string | number)[],
  view: (row: Row) => T,
): Paged<T> {
  const shown = rows.slice(0, limit)
  const last = shown.at(-1)
  return { items: shown.map(view), next: rows.length > limit && last ? encodeCursor(keyOf(last)) : null }
}

export function encodeCursor(key: readonly (string | number)[]): string {
  return Buffer.from(JSON.stringify(key)).toString('base64url')
}

/**
 * @param kinds of the members of the key that the list is ordered by
 * @throws Problem `invalid_cursor`
 */
export function decodeCursor(cursor: string, kinds: readonly ('string' | 'number')[]): (string | number)[] {
  try {
    const key: unknown = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(Buffer.from(cursor, 'base64url')))
    if (Array.isArray(key) && key.length === kinds.length && key.every((part, index) => isPart(part, kinds[index]))) {
      return key
    }
  } catch {
    // Falls through to the one answer.
  }
  throw new Problem(422, 'invalid_cursor', 'the cursor is not one that this list gave out; start again without it', {
    errors: [{ path: 'cursor', message: 'not a cursor of this list' }],
  })
}

function isPart(part: unknown, kind: 'string' | 'number' | undefined): boolean {
  if (kind === 'number') return Number.isSafeInteger(part)
  return typeof part === 'string' && part.length <= 512 && isOneLine(part)
}
