import { z } from 'zod'
import { exactly, line } from '../admin/fields.ts'
import { isOwnType } from './own-types.ts'

/** What filters events in lists and streams. */
export const eventFilter = {
  type: line(100).optional().meta({ description: 'Exactly, such as `token.issued`' }),
  client_id: line(256).optional(),
  outcome: z.enum(['success', 'failure']).optional(),
  chain: line(200).optional().meta({ description: 'Of one replica' }),
  since: z.iso.datetime({ offset: true }).max(40).optional(),
  until: z.iso.datetime({ offset: true }).max(40).optional().meta({ description: 'Itself not in it' }),
}

export const auditEvent = z.looseObject({
  chain: z.string(),
  sequence: z.int(),
  time: z.string(),
  type: z.string(),
  outcome: z.enum(['success', 'failure']),
  client_id: z.string().optional(),
  address: z.string().optional(),
  method: z.string().optional(),
  credential: z.string().optional(),
  reason: z.string().optional(),
  audience: z.string().optional(),
  scope: z.string().optional(),
  jti: z.string().optional(),
  target: z.string().optional(),
  count: z.int().optional(),
  detail: z.record(z.string(), z.unknown()).optional(),
  hash: z
    .string()
    .meta({ description: 'SHA-256 over the previous hash, a line feed, and the RFC 8785 text of the rest' }),
})

export const auditHead = z.object({
  chain: z.string(),
  sequence: z.int(),
  hash: z.string(),
  time: z.string(),
  signature: z.string().meta({ description: 'Ed25519, base64url' }),
})

/** What a guard saw and refused. It cannot choose chain, time, or who reports. */
const reportedEvent = exactly({
  type: z
    .string()
    .max(64)
    .regex(/^[a-z][a-z0-9_]*\.[a-z][a-z0-9_]*$/, { error: 'must be noun.verb, such as access.refused' })
    .refine((type) => !isOwnType(type), {
      error: "is one of the server's own; use another noun, such as access.refused",
    }),
  outcome: z.enum(['success', 'failure']).default('failure'),
  client_id: line(256).optional().meta({ description: 'Who was refused, or claimed to be' }),
  address: line(64).optional(),
  method: line(64).optional(),
  credential: line(256).optional(),
  reason: line(500).optional(),
  audience: line(256).optional(),
  scope: line(1024).optional(),
  jti: line(256).optional(),
  target: line(500).optional(),
  count: z.int().min(1).max(1_000_000_000).optional().meta({ description: 'How many this stands for' }),
})

export type ReportedEvent = z.infer<typeof reportedEvent>

export const report = z.union([reportedEvent, exactly({ events: z.array(reportedEvent).min(1).max(100) })])
