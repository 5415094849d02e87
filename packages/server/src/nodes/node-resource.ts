import { z } from 'zod'
import { exactly, time, toTime, toTimeOrNull } from '../admin/fields.ts'
import { selectorText } from '../registration-entries/registration-entry.ts'
import type { JoinTokenRow, NodeRow } from '../storage/workload-identity-tables.ts'
import { nodeOf } from './node.ts'

/** Nodes and join tokens as the admin API shows and takes them. */

const hour = 3600

export const nodeReference = exactly({
  spiffe_id: z.string().min(1).max(2048).meta({ description: "The agent's SPIFFE ID" }),
})

export const node = z.object({
  spiffe_id: z.string(),
  attestation_type: z.string(),
  selectors: z.array(z.string()),
  serial_number: z.string().meta({ description: 'Of its SVID; empty when it must attest again' }),
  expires_at: time,
  new_serial_number: z.string().nullable().meta({ description: 'Of a renewed SVID that was not used yet' }),
  reattestable: z.boolean(),
  agent_version: z.string().nullable(),
  banned: z.boolean(),
  banned_at: time.nullable(),
  attested_at: time,
  created_at: time,
})

export function viewNode(row: NodeRow): z.infer<typeof node> {
  const known = nodeOf(row)
  return {
    spiffe_id: known.id,
    attestation_type: known.attestationType,
    selectors: known.selectors.map(selectorText),
    serial_number: known.serialNumber,
    expires_at: toTime(known.expiresAt),
    new_serial_number: known.renewed?.serialNumber ?? null,
    reattestable: known.reattestable,
    agent_version: known.agentVersion ?? null,
    banned: known.bannedAt !== undefined,
    banned_at: toTimeOrNull(known.bannedAt ?? null),
    attested_at: toTime(known.attestedAt),
    created_at: toTime(known.createdAt),
  }
}

export const newJoinTokenBody = exactly({
  ttl: z
    .number()
    .int()
    .min(5)
    .max(7 * 24 * hour)
    .default(hour)
    .meta({ description: 'Seconds in which an agent must have joined with it' }),
  spiffe_id: z.string().min(1).max(2048).optional().meta({
    description: 'A second ID for the agent, under which entries can be put before it has joined',
  }),
})

export const joinToken = z.object({
  id: z.string(),
  spiffe_id: z.string().nullable(),
  created_at: time,
  expires_at: time,
})

export const createdJoinToken = joinToken.extend({
  token: z.string().meta({ description: 'Shown this once; lets one agent join' }),
  agent_id: z.string().meta({ description: 'The SPIFFE ID that the agent will have' }),
})

export function viewJoinToken(row: JoinTokenRow): z.infer<typeof joinToken> {
  return {
    id: row.id,
    spiffe_id: row.spiffe_id,
    created_at: toTime(row.created_at),
    expires_at: toTime(row.expires_at),
  }
}
