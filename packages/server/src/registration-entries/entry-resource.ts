import { z } from 'zod'
import { exactly, isOneLine, lineOrNothing, time, toTime, toTimeOrNull } from '../admin/fields.ts'
import type { RegistrationEntryRow } from '../storage/workload-identity-tables.ts'
import { entryOf, longestSvidLifetimeSeconds, selectorText } from './registration-entry.ts'

/** A registration entry as the admin API shows and takes it. */

const day = 86_400

const spiffeId = z.string().min(1).max(2048)

/** As the CLI and SPIRE write it; the type ends at the first colon. */
export const selector = z
  .string()
  .max(1100)
  .regex(/^[A-Za-z0-9._-]{1,64}:/, { error: 'write type:value, such as unix:uid:1000' })
  .refine((text) => text.length > text.indexOf(':') + 1, { error: 'has no value after its type' })
  .refine((text) => isOneLine(text), { error: 'must be one line without control characters' })

const lifetime = z
  .number()
  .int()
  .refine((seconds) => seconds === 0 || (seconds >= 5 && seconds <= longestSvidLifetimeSeconds), {
    error: `must be 0 for the server's default, or 5 to ${longestSvidLifetimeSeconds} seconds`,
  })
  .meta({ description: "Seconds; 0: the server's default" })

const dnsName = z
  .string()
  .max(253)
  .regex(/^(\*\.)?([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)*[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/i, {
    error: 'must be a DNS name; a * may stand for its first label',
  })

const trustDomain = z
  .string()
  .max(255)
  .regex(/^[a-z0-9._-]+$/, { error: 'must be the name of a trust domain, such as example.org' })

const policy = exactly({
  binary_sha256: z
    .array(z.string().regex(/^[0-9a-f]{64}$/, { error: 'must be 64 lower-case hex digits' }))
    .min(1)
    .max(1000)
    .optional()
    .meta({ description: "The workload's program has one of these SHA-256 hashes" }),
  not_root: z.boolean().optional().meta({ description: "The workload's user is not root" }),
  node_attested_within: z
    .number()
    .int()
    .min(5)
    .max(3650 * day)
    .optional()
    .meta({ description: 'The node has attested itself within so many seconds' }),
}).meta({
  description:
    'What is demanded beyond the selectors. Demands on the workload are met by our agents only: others do not get the entry.',
})

export const entryPatch = exactly({
  spiffe_id: spiffeId.optional().meta({ description: 'What the workload is called' }),
  parent_id: spiffeId.optional().meta({
    description: 'The agent, or an ID that agents have by another entry; /spire/server makes an alias of nodes',
  }),
  selectors: z.array(selector).min(1).max(50).optional().meta({ description: 'The workload has all of them' }),
  x509_svid_ttl: lifetime.optional(),
  jwt_svid_ttl: lifetime.optional(),
  dns_names: z.array(dnsName).max(50).optional(),
  hint: lineOrNothing(1024).optional().meta({ description: 'Tells a workload what the SVID is for' }),
  federates_with: z.array(trustDomain).max(100).optional(),
  admin: z.boolean().optional(),
  downstream: z.boolean().optional(),
  store_svid: z.boolean().optional().meta({ description: 'Never served by the Workload API' }),
  expires_at: time.nullable().optional(),
  policy: policy.nullable().optional(),
})

export const newEntryBody = entryPatch.required({ spiffe_id: true, parent_id: true, selectors: true })

export type EntryPatch = z.infer<typeof entryPatch>

export const entry = z.object({
  id: z.string(),
  spiffe_id: z.string(),
  parent_id: z.string(),
  selectors: z.array(z.string()),
  x509_svid_ttl: z.number(),
  jwt_svid_ttl: z.number(),
  dns_names: z.array(z.string()),
  hint: z.string(),
  federates_with: z.array(z.string()),
  admin: z.boolean(),
  downstream: z.boolean(),
  store_svid: z.boolean(),
  expires_at: time.nullable(),
  policy: policy.nullable(),
  revision_number: z.number().meta({ description: 'One more with each change' }),
  created_at: time,
  updated_at: time,
})

export function viewEntry(row: RegistrationEntryRow): z.infer<typeof entry> {
  const { policy, ...known } = entryOf(row)
  return {
    id: known.id,
    spiffe_id: known.spiffeId,
    parent_id: known.parentId,
    selectors: known.selectors.map(selectorText),
    x509_svid_ttl: known.x509SvidTtlSeconds,
    jwt_svid_ttl: known.jwtSvidTtlSeconds,
    dns_names: [...known.dnsNames],
    hint: known.hint,
    federates_with: [...known.federatesWith],
    admin: known.admin,
    downstream: known.downstream,
    store_svid: known.storeSvid,
    expires_at: toTimeOrNull(known.expiresAt ?? null),
    policy: policy
      ? {
          ...(policy.binarySha256 && { binary_sha256: [...policy.binarySha256] }),
          ...(policy.notRoot && { not_root: true }),
          ...(policy.nodeAttestedWithinSeconds && { node_attested_within: policy.nodeAttestedWithinSeconds }),
        }
      : null,
    revision_number: known.revisionNumber,
    created_at: toTime(known.createdAt),
    updated_at: toTime(known.updatedAt),
  }
}
