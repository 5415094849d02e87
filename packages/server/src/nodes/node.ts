import type { Selector } from '../registration-entries/registration-entry.ts'
import type { NodeRow } from '../storage/workload-identity-tables.ts'

/** A node whose agent has attested itself. */
export interface Node {
  /** The agent's SPIFFE ID */
  readonly id: string
  readonly attestationType: string
  readonly selectors: readonly Selector[]
  /** Of its SVID, lower-case hex; empty when it must attest again */
  readonly serialNumber: string
  /** Seconds since the epoch */
  readonly expiresAt: number
  /** Of a renewed SVID that was not used yet */
  readonly renewed?: { readonly serialNumber: string; readonly expiresAt: number }
  /** Whether it may attest again under the same ID */
  readonly reattestable: boolean
  readonly agentVersion?: string
  readonly bannedAt?: number
  readonly attestedAt: number
  readonly createdAt: number
  readonly updatedAt: number
}

/** `good`, or the reason as `spire.api.types.PermissionDeniedDetails` names it. */
export type NodeStanding =
  | 'good'
  | 'AGENT_NOT_ATTESTED'
  | 'AGENT_NOT_ACTIVE'
  | 'AGENT_BANNED'
  | 'AGENT_EXPIRED'
  | 'AGENT_MUST_REATTEST'

export function nodeOf(row: NodeRow): Node {
  return {
    id: row.id,
    attestationType: row.attestation_type,
    selectors: JSON.parse(row.selectors),
    serialNumber: row.serial_number,
    expiresAt: row.expires_at,
    ...(row.new_serial_number !== null && {
      renewed: { serialNumber: row.new_serial_number, expiresAt: row.new_expires_at ?? 0 },
    }),
    reattestable: row.reattestable !== 0,
    ...(row.agent_version !== null && { agentVersion: row.agent_version }),
    ...(row.banned_at !== null && { bannedAt: row.banned_at }),
    attestedAt: row.attested_at,
    createdAt: row.created_at,
    updatedAt: row.updated_at,
  }
}

/** How an SVID with this serial number stands, by what is known of the node. */
export function standingOf(node: Node | undefined, serialNumber: string, now: number): NodeStanding {
  if (!node) return 'AGENT_NOT_ATTESTED'
  if (node.bannedAt !== undefined) return 'AGENT_BANNED'
  if (node.serialNumber === '') return 'AGENT_MUST_REATTEST'
  const svid = [node, node.renewed].find((svid) => svid?.serialNumber === serialNumber)
  if (!svid) return 'AGENT_NOT_ACTIVE'
  return svid.expiresAt > now ? 'good' : 'AGENT_EXPIRED'
}
