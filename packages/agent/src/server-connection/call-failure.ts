import { Status as RpcStatus } from '@countersign/spiffe/protocol/rpc-status'
import {
  PermissionDeniedDetails,
  PermissionDeniedDetails_Reason as Reason,
} from '@countersign/spiffe/protocol/spire-types'
import { status } from '@grpc/grpc-js'

/** What a failed call means for this node. */
export type NodeStanding = 'must_reattest' | 'banned' | 'undecided'

const typeSuffix = '/spire.api.types.PermissionDeniedDetails'

/**
 * Reads the reason that a server gives with PERMISSION_DENIED. Without one nothing is decided: the call is tried again,
 * and what is cached stays in use.
 */
export function standingAfter(error: unknown): NodeStanding {
  if (grpcCode(error) !== status.PERMISSION_DENIED) return 'undecided'
  switch (deniedReason(error)) {
    case Reason.AGENT_BANNED:
      return 'banned'
    case Reason.AGENT_EXPIRED:
    case Reason.AGENT_NOT_ATTESTED:
    case Reason.AGENT_NOT_ACTIVE:
    case Reason.AGENT_MUST_REATTEST:
      return 'must_reattest'
    default:
      return 'undecided'
  }
}

/** The gRPC status code of an error, if it has one. */
export function grpcCode(error: unknown): number | undefined {
  const code = (error as { code?: unknown } | null)?.code
  return typeof code === 'number' ? code : undefined
}

function deniedReason(error: unknown): Reason {
  const metadata = (error as { metadata?: { get(name: string): unknown[] } }).metadata
  const [encoded] = metadata?.get('grpc-status-details-bin') ?? []
  if (!Buffer.isBuffer(encoded)) return Reason.UNKNOWN
  try {
    const details = RpcStatus.decode(encoded).details.find(({ typeUrl }) => typeUrl.endsWith(typeSuffix))
    return details ? PermissionDeniedDetails.decode(details.value).reason : Reason.UNKNOWN
  } catch {
    return Reason.UNKNOWN
  }
}
