import type { AuditLog } from './audit/log.ts'
import type { AuthorityContext } from './certificate-authorities/authority-context.ts'
import { type IssuanceIds, issuanceId } from './certificate-authorities/issuance-id.ts'
import { openCertificateAuthorities } from './certificate-authorities/open-certificate-authorities.ts'
import type { TrustDomainAuthority } from './certificate-authorities/trust-domain-authority.ts'
import type { UpstreamFiles } from './certificate-authorities/upstream-ca.ts'
import { Problem } from './http/problem.ts'
import type { NodeAttestor } from './nodes/node-attestor.ts'
import { type NodeAttestorSettings, openNodeAttestors } from './nodes/node-attestors.ts'
import { NodeRegistry } from './nodes/node-registry.ts'
import { RegistrationEntries } from './registration-entries/registration-entries.ts'
import { WithheldEntries } from './registration-entries/withheld-entries.ts'
import type { MasterKey } from './sealing/master-key.ts'
import type { ChangeFeed } from './storage/change-feed.ts'
import type { Store } from './storage/store.ts'
import type { FederatedBundles } from './trust-bundles/federated-bundles.ts'
import { type BundleFetchSettings, openTrustBundles } from './trust-bundles/open-trust-bundles.ts'

export interface WorkloadIdentitySettings {
  trustDomain: string
  nodeAttestors?: NodeAttestorSettings
  /** Of a CA, and of a key that signs JWT-SVIDs; default 90 days */
  caLifetimeSeconds?: number
  /** How long a CA is published, at least, before it signs; default 10 minutes */
  publishAheadSeconds?: number
  /** Where the CA is an intermediate */
  upstream?: UpstreamFiles | undefined
  /** How often others are asked to fetch the bundle; default 5 minutes */
  bundleRefreshHintSeconds?: number
  /** How the bundles of other trust domains are fetched */
  bundleFetch?: BundleFetchSettings
}

export interface WorkloadIdentityContext {
  store: Store
  feed: ChangeFeed
  audit: AuditLog
  masterKey: MasterKey
  /** Seconds since the epoch */
  now: () => number
  onError?: (what: string, error: unknown) => void
}

/** What the server knows of workloads and their nodes; there where a trust domain is configured. */
export interface WorkloadIdentity {
  readonly trustDomain: string
  readonly entries: RegistrationEntries
  readonly withheld: WithheldEntries
  readonly nodes: NodeRegistry
  readonly nodeAttestors: readonly NodeAttestor[]
  readonly ca: TrustDomainAuthority
  /** What the life of the authorities depends on, for who changes it */
  readonly authorities: AuthorityContext
  /** Bundles of other trust domains */
  readonly federated: FederatedBundles
  readonly issuanceIds: IssuanceIds
  stop(): Promise<void>
}

const defaults = { caLifetimeSeconds: 90 * 86_400, publishAheadSeconds: 600, bundleRefreshHintSeconds: 300 }

/** @throws StoreError `unavailable` @throws CaUnavailable when an upstream CA is configured that cannot sign */
export async function openWorkloadIdentity(
  settings: WorkloadIdentitySettings,
  context: WorkloadIdentityContext,
): Promise<WorkloadIdentity> {
  const { trustDomain, nodeAttestors = {}, upstream } = settings
  const { caLifetimeSeconds, publishAheadSeconds, bundleRefreshHintSeconds } = { ...defaults, ...settings }
  const { store, masterKey, audit, now } = context
  const entries = new RegistrationEntries({ ...context, trustDomain })
  await entries.load()
  const lifetimeSeconds = caLifetimeSeconds
  const authorities = { store, masterKey, audit, now, trustDomain, lifetimeSeconds, publishAheadSeconds, upstream }
  const opened = await openCertificateAuthorities(authorities, {
    ...context,
    refreshHintSeconds: bundleRefreshHintSeconds,
  })
  const { ca } = opened
  const trustBundles = await openTrustBundles({ ...context, ca, fetch: settings.bundleFetch })
  return {
    trustDomain,
    entries,
    withheld: new WithheldEntries({ index: entries.index, audit }),
    nodes: new NodeRegistry(context),
    nodeAttestors: openNodeAttestors(nodeAttestors, { ...context, trustDomain }),
    ca,
    authorities,
    federated: trustBundles.federated,
    issuanceIds: issuanceId(masterKey),
    async stop() {
      await trustBundles.stop()
      await opened.stop()
    },
  }
}

/** @throws Problem `no_trust_domain` where workload identity is not configured */
export function workloadIdentityOf({
  workloadIdentity,
}: {
  workloadIdentity: WorkloadIdentity | undefined
}): WorkloadIdentity {
  if (workloadIdentity) return workloadIdentity
  throw new Problem(
    409,
    'no_trust_domain',
    'this server has no workload identity: set spiffe.trust_domain (COUNTERSIGN_SPIFFE_TRUST_DOMAIN) and start it again',
  )
}

/** @throws Problem `no_trust_domain` where workload identity is not configured */
export function trustDomainOf(authority: { workloadIdentity: WorkloadIdentity | undefined }): string {
  return workloadIdentityOf(authority).trustDomain
}
