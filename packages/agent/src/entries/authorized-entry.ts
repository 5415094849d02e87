import { spiffeId } from '@countersign/spiffe'
import type { Entry } from '@countersign/spiffe/protocol/spire-types'
import type { Selector } from '../attestors/workload-attestor.ts'

/** A registration entry that this node may act on. */
export interface AuthorizedEntry {
  readonly id: string
  readonly spiffeId: string
  /** Without a scheme. */
  readonly trustDomain: string
  /** A workload must have all of them. */
  readonly selectors: readonly Selector[]
  readonly federatesWith: readonly string[]
  readonly hint: string
  /** Seconds since the epoch. */
  readonly createdAt: number
  readonly revisionNumber: number
  /** Not for the Workload API. */
  readonly storeSvid: boolean
  /** An SVID is to be there before a workload asks. */
  readonly prefetch: boolean
  readonly policy?: WorkloadPolicy
}

/** What the entry demands beyond selectors, as far as it is seen here and not at the server. */
export interface WorkloadPolicy {
  /** Lower-case hex; empty: any. */
  readonly binarySha256: readonly string[]
  readonly notRoot: boolean
}

/** @throws when the entry cannot be acted on (SPIRE's agent leaves out the same ones) */
export function parseEntry(entry: Entry): AuthorizedEntry {
  if (entry.id === '') throw new Error('it has no id')
  if (entry.spiffeId === undefined) throw new Error('it has no SPIFFE ID')
  const id = spiffeId(entry.spiffeId.trustDomain, entry.spiffeId.path)
  if (entry.selectors.length === 0) throw new Error('it has no selector, and would match every workload')
  for (const { type, value } of entry.selectors) {
    if (type === '' || value === '' || type.includes(':')) throw new Error(`its selector "${type}:${value}" is none`)
  }
  const { policy } = entry
  return {
    id: entry.id,
    spiffeId: id.toString(),
    trustDomain: id.trustDomain,
    selectors: entry.selectors.map(({ type, value }) => ({ type, value })),
    federatesWith: entry.federatesWith,
    hint: entry.hint,
    createdAt: entry.createdAt,
    revisionNumber: entry.revisionNumber,
    storeSvid: entry.storeSvid,
    prefetch: entry.additionalAttributes?.disableX509SvidPrefetch !== true,
    ...(policy && {
      policy: { binarySha256: policy.binarySha256.map((hash) => hash.toLowerCase()), notRoot: policy.notRoot },
    }),
  }
}
