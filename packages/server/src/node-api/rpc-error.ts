import { LimitsError } from '@countersign/limits'
import { Status } from '@countersign/spiffe/protocol/rpc-status'
import { PermissionDeniedDetails, PermissionDeniedDetails_Reason } from '@countersign/spiffe/protocol/spire-types'
import { Metadata, type ServiceError, status } from '@grpc/grpc-js'
import { CaUnavailable } from '../certificate-authorities/ca-unavailable.ts'
import { StoreError } from '../storage/store.ts'

/** Why an agent is refused, as `spire.api.types.PermissionDeniedDetails` names it: it tells the agent what to do next. */
export type DenialReason = Exclude<keyof typeof PermissionDeniedDetails_Reason, 'UNKNOWN'>

/** An answer that is a refusal; the message goes to the caller. */
export class RpcError extends Error {
  readonly code: status
  readonly reason: DenialReason | undefined

  constructor(code: status, message: string, options: { reason?: DenialReason; cause?: unknown } = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause })
    this.name = 'RpcError'
    this.code = code
    this.reason = options.reason
  }
}

export function invalidArgument(message: string): RpcError {
  return new RpcError(status.INVALID_ARGUMENT, message)
}

/** @param reason without it a running agent goes on trying; with it, it attests again or ends */
export function permissionDenied(message: string, reason?: DenialReason): RpcError {
  return new RpcError(status.PERMISSION_DENIED, message, reason && { reason })
}

/** What was thrown, as what the caller may know of it: `unexpected` is our own fault, and told to the log alone. */
export function asRpcError(error: unknown): { refusal: RpcError; unexpected: boolean } {
  if (error instanceof RpcError) return { refusal: error, unexpected: false }
  if (isUnavailable(error)) {
    return { refusal: new RpcError(status.UNAVAILABLE, 'not at the moment: try again later'), unexpected: true }
  }
  return { refusal: new RpcError(status.INTERNAL, 'this did not work'), unexpected: true }
}

/** With the details in the trailer that SPIRE's agents read. */
export function toServiceError({ code, message, reason }: RpcError): ServiceError {
  const metadata = new Metadata()
  if (reason) {
    const details = PermissionDeniedDetails.encode({ reason: PermissionDeniedDetails_Reason[reason] }).finish()
    const told = Status.encode({ code, message, details: [{ typeUrl: detailsType, value: Buffer.from(details) }] })
    metadata.set('grpc-status-details-bin', Buffer.from(told.finish()))
  }
  return Object.assign(new Error(message), { code, details: message, metadata })
}

const detailsType = 'type.googleapis.com/spire.api.types.PermissionDeniedDetails'

function isUnavailable(error: unknown): boolean {
  if (error instanceof StoreError) return error.code === 'unavailable' || error.code === 'conflict'
  if (error instanceof LimitsError) return error.code === 'store_unavailable'
  return error instanceof CaUnavailable
}
