import type { AuditLog } from './audit/log.ts'
import type { NodeAttestor } from './nodes/node-attestor.ts'
import { type NodeAttestorSettings, openNodeAttestors } from './nodes/node-attestors.ts'
import { NodeRegistry } from './nodes/node-registry.ts'
import { RegistrationEntries } from './registration-entries/registration-entries.ts'
import type { MasterKey } from './sealing/master-key.ts'
import type { ChangeFeed } from './storage/change-feed.ts'
import type { Store } from './storage/store.ts'

export interface WorkloadIdentitySettings {
  trustDomain: string
  nodeAttestors?: NodeAttestorSettings
}

export interface WorkloadIdentityContext {
  store: Store
  feed: ChangeFeed
  audit: AuditLog
  masterKey: MasterKey
  /** Seconds since the epoch */
  now: () => number
}

/** What the server knows of workloads and their nodes; there where a trust domain is configured. */
export interface WorkloadIdentity {
  readonly trustDomain: string
  readonly entries: RegistrationEntries
  readonly nodes: NodeRegistry
  readonly nodeAttestors: readonly NodeAttestor[]
}

/** @throws StoreError `unavailable` */
export async function openWorkloadIdentity(
  { trustDomain, nodeAttestors = {} }: WorkloadIdentitySettings,
  context: WorkloadIdentityContext,
): Promise<WorkloadIdentity> {
  const entries = new RegistrationEntries({ ...context, trustDomain })
  await entries.load()
  return {
    trustDomain,
    entries,
    nodes: new NodeRegistry(context),
    nodeAttestors: openNodeAttestors(nodeAttestors, { ...context, trustDomain }),
  }
}
