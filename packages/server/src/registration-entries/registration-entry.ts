import type { RegistrationEntryRow } from '../storage/workload-identity-tables.ts'

/** Of the SVIDs of workloads, whatever an entry or the configuration says. */
export const longestSvidLifetimeSeconds = 30 * 86_400

export interface Selector {
  /** Without a colon, such as `unix` */
  readonly type: string
  /** Such as `uid:1000` */
  readonly value: string
}

/** What an entry demands beyond its selectors before an SVID is issued. */
export interface EntryPolicy {
  /** SHA-256 of the workload's program, lower-case hex: one of these. The agent sees to it */
  readonly binarySha256?: readonly string[]
  /** The workload's user is not root. The agent sees to it */
  readonly notRoot?: boolean
  /** The node has attested itself within so many seconds. The server sees to it */
  readonly nodeAttestedWithinSeconds?: number
}

/** Which workloads, on which nodes, get which SPIFFE ID. Never changed in place: an update is another object. */
export interface RegistrationEntry {
  readonly id: string
  readonly spiffeId: string
  /** The agent, or the SPIFFE ID that an agent has by another entry, or the server's own for an alias of nodes */
  readonly parentId: string
  /** Sorted by type and value, none twice */
  readonly selectors: readonly Selector[]
  /** 0: as the server has it configured */
  readonly x509SvidTtlSeconds: number
  readonly jwtSvidTtlSeconds: number
  readonly dnsNames: readonly string[]
  readonly hint: string
  /** Names of trust domains, without scheme */
  readonly federatesWith: readonly string[]
  readonly admin: boolean
  readonly downstream: boolean
  readonly storeSvid: boolean
  /** Seconds since the epoch */
  readonly expiresAt?: number
  readonly policy?: EntryPolicy
  /** 0 at first, one more with each update: agents ask for new SVIDs when it changes */
  readonly revisionNumber: number
  readonly createdAt: number
  readonly updatedAt: number
}

export function entryOf(row: RegistrationEntryRow): RegistrationEntry {
  return {
    id: row.id,
    spiffeId: row.spiffe_id,
    parentId: row.parent_id,
    selectors: JSON.parse(row.selectors),
    x509SvidTtlSeconds: row.x509_svid_ttl,
    jwtSvidTtlSeconds: row.jwt_svid_ttl,
    dnsNames: listOf(row.dns_names),
    hint: row.hint,
    federatesWith: listOf(row.federates_with),
    admin: row.admin !== 0,
    downstream: row.downstream !== 0,
    storeSvid: row.store_svid !== 0,
    ...(row.expires_at !== null && { expiresAt: row.expires_at }),
    ...(row.policy !== null && { policy: JSON.parse(row.policy) }),
    revisionNumber: row.revision_number,
    createdAt: row.created_at,
    updatedAt: row.updated_at,
  }
}

export function selectorText({ type, value }: Selector): string {
  return `${type}:${value}`
}

const none: readonly string[] = []

/** Most lists are empty: ten thousand entries share one. */
function listOf(json: string): readonly string[] {
  return json === '[]' ? none : JSON.parse(json)
}
