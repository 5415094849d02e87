import { z } from 'zod'
import { exactly, time, toTime, toTimeOrNull } from '../admin/fields.ts'
import type { TrustBundleRow } from '../storage/workload-identity-tables.ts'

/** As the admin API takes and shows it. */

const profile = z.enum(['https_web', 'https_spiffe'])

export const newTrustBundle = exactly({
  endpoint_url: z
    .string()
    .max(2048)
    .refine((text) => URL.parse(text)?.protocol === 'https:', { error: 'must be an https URL' })
    .refine((text) => !hasUserInfo(text), { error: 'must not hold a user name or password' })
    .optional()
    .meta({ description: 'Where it is published; left out where the bundle is set by hand only' }),
  endpoint_profile: profile
    .optional()
    .meta({ description: 'How the endpoint is known: by its host name, or by endpoint_spiffe_id' }),
  endpoint_spiffe_id: z.string().max(2048).optional(),
  bundle: z
    .record(z.string(), z.unknown())
    .optional()
    .meta({ description: 'A SPIFFE bundle document. Left out, the one that is known stays' }),
})

export type NewTrustBundle = z.output<typeof newTrustBundle>

export const trustBundleSummary = z.object({
  trust_domain: z.string(),
  own: z.boolean().meta({ description: 'Whether this is the trust domain of this server' }),
  endpoint_url: z.string().nullable(),
  endpoint_profile: profile.nullable(),
  endpoint_spiffe_id: z.string().nullable(),
  sequence_number: z.number().nullable(),
  refresh_hint: z.number().nullable().meta({ description: 'Seconds' }),
  fetched_at: time.nullable(),
  next_fetch_at: time.nullable(),
  failure: z.string().nullable().meta({ description: 'Why the last attempt to fetch it failed' }),
  failing_since: time.nullable(),
  created_at: time.nullable(),
  updated_at: time.nullable(),
})

export const trustBundle = trustBundleSummary.extend({
  bundle: z.record(z.string(), z.unknown()).nullable().meta({ description: 'The SPIFFE bundle document' }),
})

export function viewTrustBundleSummary(row: TrustBundleRow): z.infer<typeof trustBundleSummary> {
  return {
    trust_domain: row.trust_domain,
    own: false,
    endpoint_url: row.endpoint_url,
    endpoint_profile: row.endpoint_profile === null ? null : profile.parse(row.endpoint_profile),
    endpoint_spiffe_id: row.endpoint_spiffe_id,
    sequence_number: row.sequence_number,
    refresh_hint: row.refresh_hint,
    fetched_at: toTimeOrNull(row.fetched_at),
    next_fetch_at: toTimeOrNull(row.next_fetch_at),
    failure: row.failure,
    failing_since: toTimeOrNull(row.failing_since),
    created_at: toTime(row.created_at),
    updated_at: toTime(row.updated_at),
  }
}

export function viewTrustBundle(row: TrustBundleRow): z.infer<typeof trustBundle> {
  return { ...viewTrustBundleSummary(row), bundle: row.bundle === null ? null : JSON.parse(row.bundle) }
}

function hasUserInfo(text: string): boolean {
  const url = URL.parse(text)
  return url !== null && (url.username !== '' || url.password !== '')
}
