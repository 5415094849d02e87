import { isIP } from 'node:net'
import { parseDuration } from '@countersign/tokens/duration'
import { z } from 'zod'

/** Kinds of values that settings are made of. */

export const duration = z
  .union([z.string(), z.number()])
  .meta({ description: 'a duration: 45s, 30m, 1h, 90d', examples: ['30d'] })
  .transform((text, context) => {
    const seconds = parseDuration(String(text).trim())
    if (seconds !== undefined) return seconds
    context.addIssue({ code: 'custom', message: 'write a duration such as 45s, 30m, 1h or 90d' })
    return z.NEVER
  })

export const port = z.coerce.number().int().min(0).max(65_535)

export const truth = z.union([z.boolean(), z.stringbool()])

export const rateLimit = z.strictObject({
  quota: z.coerce.number().int().min(1).max(1_000_000).meta({ description: 'how many requests a window' }),
  window: duration.default(60),
})

export const addressRange = z
  .string()
  .refine((text) => isIP(text.split('/')[0] ?? '') !== 0, 'must be an IP address or a CIDR range')

/** A list, or what an environment variable can hold: names with commas or spaces between them. */
export function list<T extends z.ZodType<unknown, string>>(item: T) {
  return z.union([
    z.array(item),
    z
      .string()
      .transform((text) => text.split(/[ ,]+/).filter(Boolean))
      .pipe(z.array(item)),
  ])
}

export const pemFiles = z.strictObject({ cert_file: z.string(), key_file: z.string() })
