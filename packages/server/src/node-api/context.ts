import type { BundleSet } from '@countersign/spiffe'
import type { AuditLog } from '../audit/log.ts'
import type { IssuanceIds } from '../certificate-authorities/issuance-id.ts'
import type { TrustDomainAuthority } from '../certificate-authorities/trust-domain-authority.ts'
import type { NodeAttestor } from '../nodes/node-attestor.ts'
import type { NodeRegistry } from '../nodes/node-registry.ts'
import type { EntryIndex } from '../registration-entries/entry-index.ts'
import type { WithheldEntries } from '../registration-entries/withheld-entries.ts'
import type { Store } from '../storage/store.ts'
import type { CallRules } from './calls.ts'
import type { NodeLimits } from './node-limits.ts'

/** What the calls of the node API are answered from. */
export interface NodeApiContext {
  readonly trustDomain: string
  readonly ca: TrustDomainAuthority
  /** Bundles of other trust domains */
  readonly federated: BundleSet
  readonly entries: EntryIndex
  readonly withheld: WithheldEntries
  readonly nodes: NodeRegistry
  readonly nodeAttestors: readonly NodeAttestor[]
  readonly issuanceIds: IssuanceIds
  readonly lifetimes: SvidLifetimes
  /** The `iss` of JWT-SVIDs */
  readonly jwtIssuer?: string | undefined
  readonly limits: NodeLimits
  readonly audit: Pick<AuditLog, 'record' | 'recordChange'>
  readonly store: Store
  readonly rules: CallRules
  /** Seconds since the epoch */
  readonly now: () => number
}

/** In seconds; where an entry says nothing of its own */
export interface SvidLifetimes {
  readonly x509Seconds: number
  readonly jwtSeconds: number
  readonly agentSeconds: number
}
