import { status } from '@grpc/grpc-js'
import { GuardError } from '../guard-error.ts'

/** How a call is refused: a status, and what programs read in the trailing metadata. */
export interface GrpcRefusal {
  readonly code: status
  readonly details: string
  readonly trailers?: { readonly 'm2m-error': string; readonly 'm2m-reason': string }
}

/** A refusal of your own, for `admitGrpc`. */
export class RefusedCall extends Error {
  readonly refusal: GrpcRefusal

  constructor(refusal: GrpcRefusal) {
    super(refusal.details)
    this.refusal = refusal
  }
}

/** What to answer when admitting a call threw. Of foreign errors nothing is passed on but a GuardError's own sentence. */
export function grpcRefusalOf(error: unknown): GrpcRefusal {
  if (error instanceof RefusedCall) return error.refusal
  if (!(error instanceof GuardError)) return verificationFailed
  const { code, status: httpStatus, reason, message } = error
  return {
    code: codeOf.get(httpStatus) ?? status.UNAUTHENTICATED,
    // What the access lists refuse is said in exactly the words of the contract.
    details: httpStatus === 401 && tokenErrors.has(code) ? `${code}: ${message}` : message,
    trailers: { 'm2m-error': code, 'm2m-reason': reason },
  }
}

export const expiredStream: GrpcRefusal = {
  code: status.UNAUTHENTICATED,
  details: 'InvalidM2MToken: The service token of this stream has expired; open a new one (expired).',
  trailers: { 'm2m-error': 'InvalidM2MToken', 'm2m-reason': 'expired' },
}

export const expiredCredential: GrpcRefusal = {
  code: status.UNAUTHENTICATED,
  details: 'The credential of this stream has expired; open a new one.',
  trailers: { 'm2m-error': 'invalid_token', 'm2m-reason': 'expired_token' },
}

/** As grpc-js says it. */
export const unreadableRequest: GrpcRefusal = { code: status.INTERNAL, details: 'Error deserializing request' }

const verificationFailed: GrpcRefusal = {
  code: status.UNAVAILABLE,
  details: 'The call could not be checked; try again shortly.',
  trailers: { 'm2m-error': 'unavailable', 'm2m-reason': 'verification_failed' },
}

const tokenErrors: ReadonlySet<string> = new Set(['InvalidM2MToken', 'RequiresM2MToken'])

const codeOf: ReadonlyMap<number, status> = new Map([
  [400, status.INVALID_ARGUMENT],
  [401, status.UNAUTHENTICATED],
  [403, status.PERMISSION_DENIED],
  [413, status.RESOURCE_EXHAUSTED],
  [503, status.UNAVAILABLE],
])
