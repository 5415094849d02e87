import { matchesSpiffePattern, type SpiffeId } from '@countersign/spiffe'
import type { ClientRecord } from '../clients/client.ts'

/** Nodes and servers have IDs below this; they are no workloads, and no pattern for workloads means them. */
const reserved = '/spire/'

/** Whether an ID is one of the client's (draft-ietf-oauth-spiffe-client-auth section 3.3). */
export function isWorkloadOf({ spiffeIds }: Pick<ClientRecord, 'spiffeIds'>, id: SpiffeId): boolean {
  return !id.path.startsWith(reserved) && spiffeIds.some((pattern) => matchesSpiffePattern(id, pattern))
}
