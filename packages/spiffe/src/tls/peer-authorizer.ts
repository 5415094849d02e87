import type { Certificate } from '../certificates/certificate.ts'
import { parseSpiffeId, parseTrustDomain, type SpiffeId } from '../ids/spiffe-id.ts'
import { isSystemId } from '../ids/system-ids.ts'

/** Whether a peer, whose ID its certificate has already proven, may be talked to. What throws refuses. */
export type PeerAuthorizer = (id: SpiffeId, leaf: Certificate) => boolean

/** Only these SPIFFE IDs, exactly. @throws SpiffeError `invalid_spiffe_id` */
export function allowId(...ids: readonly (SpiffeId | string)[]): PeerAuthorizer {
  const allowed = new Set(ids.map((id) => parseSpiffeId(id.toString()).toString()))
  return (id) => allowed.has(id.toString())
}

/** Every workload of this trust domain; not its servers and agents, which `allowId` names. @throws SpiffeError `invalid_spiffe_id` */
export function allowTrustDomain(trustDomain: string): PeerAuthorizer {
  const allowed = parseTrustDomain(trustDomain)
  return (id) => id.trustDomain === allowed && !isSystemId(id)
}

/** Everyone whose trust domain's bundle one has: who it is, is for the application to look at (`peerOf`). */
export function allowAny(): PeerAuthorizer {
  return () => true
}

export function allowIf(predicate: PeerAuthorizer): PeerAuthorizer {
  return predicate
}
