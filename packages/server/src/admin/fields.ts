import { closest, distance } from 'fastest-levenshtein'
import { z } from 'zod'

/** Schemas that several nouns are made of. Everything has a length, and nothing that a database would choke on. */

/** Text for people: one line, no control characters, no half surrogates (which RFC 8785 cannot write). */
export function line(longest: number) {
  return lineOrNothing(longest).min(1)
}

export function lineOrNothing(longest: number) {
  return (
    z
      .string()
      .max(longest)
      .refine((text) => isOneLine(text), { error: 'must be one line without control characters' })
      // A secret in a name would be shown to all who may read names.
      .refine((text) => !text.includes('cs_secret_'), { error: 'holds a client secret; revoke that one' })
  )
}

export function isOneLine(text: string): boolean {
  return text.isWellFormed() && !/[\p{Cc}\u2028\u2029]/u.test(text)
}

/** RFC 3339 in UTC. */
export const time = z.iso.datetime().meta({ description: 'RFC 3339, UTC' })

/** @param seconds since the epoch */
export function toTime(seconds: number): string {
  return new Date(seconds * 1000).toISOString().replace('.000Z', 'Z')
}

export function toTimeOrNull(seconds: number | null): string | null {
  return seconds === null ? null : toTime(seconds)
}

/** An object that names what it does not know, and what was probably meant. */
export function exactly<T extends z.core.$ZodLooseShape>(shape: T) {
  const known = Object.keys(shape)
  return z.strictObject(shape, {
    error: (issue) => (issue.code === 'unrecognized_keys' ? unknownMembers(issue.keys as string[], known) : undefined),
  })
}

function unknownMembers(keys: readonly string[], known: readonly string[]): string {
  return keys
    .slice(0, 5)
    .map((key) => {
      const shown = JSON.stringify(key.slice(0, 64))
      const near = known.length > 0 ? closest(key.slice(0, 64), known) : ''
      const isNear = near !== '' && distance(key.slice(0, 64), near) <= Math.max(2, near.length / 3)
      return isNear
        ? `there is no ${shown}; did you mean "${near}"?`
        : `there is no ${shown}; known: ${known.join(', ')}`
    })
    .join('; ')
}
