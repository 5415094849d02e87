import { z } from 'zod'
import { exactly, line, time, toTime, toTimeOrNull } from '../admin/fields.ts'
import { invalid } from '../admin/request-validation.ts'
import type { ClientSecretRow } from '../storage/tables.ts'

const longestSeconds = 10 * 366 * 86_400

export const newSecret = exactly({
  label: line(100).optional(),
  expires_in: z.int().min(1).max(longestSeconds).optional().meta({ description: 'Seconds from now' }),
  expires_at: z.iso.datetime({ offset: true }).max(40).optional(),
})

export const secret = z.object({
  id: z.string(),
  client_id: z.string(),
  label: z.string().nullable(),
  created_at: time,
  expires_at: time.nullable(),
  last_used_at: time.nullable(),
  expired: z.boolean(),
})

export const createdSecret = secret.extend({ client_secret: z.string().meta({ description: 'Shown this once' }) })

/** @returns seconds since the epoch, or undefined for a secret that stays. @throws Problem `invalid` */
export function expiryOf({ expires_in, expires_at }: z.infer<typeof newSecret>, now: number): number | undefined {
  if (expires_in !== undefined && expires_at !== undefined) {
    throw invalid([{ path: 'expires_at', message: 'give expires_in or expires_at, not both' }])
  }
  if (expires_in !== undefined) return now + expires_in
  if (expires_at === undefined) return undefined
  const seconds = Math.floor(Date.parse(expires_at) / 1000)
  if (!(seconds > now && seconds <= now + longestSeconds)) {
    throw invalid([{ path: 'expires_at', message: 'must be in the future, and within ten years' }])
  }
  return seconds
}

export function viewSecret(row: ClientSecretRow, now: number): z.infer<typeof secret> {
  return {
    id: row.id,
    client_id: row.client_id,
    label: row.label,
    created_at: toTime(row.created_at),
    expires_at: toTimeOrNull(row.expires_at),
    last_used_at: toTimeOrNull(row.last_used_at),
    expired: row.expires_at !== null && row.expires_at <= now,
  }
}
