import type { BundleSet } from '@countersign/spiffe'
import type { WorkloadIdentity } from '../workload-identity.ts'

/** Every bundle that an SVID may be verified by, each for the IDs of its own trust domain. */
export function bundlesOf({ trustDomain, ca, federated }: WorkloadIdentity): BundleSet {
  return { get: (name) => (name === trustDomain ? ca.bundle() : federated.get(name)) }
}
