import { status } from '@grpc/grpc-js'
import { GuardError } from '../guard-error.ts'

/** How a call is refused: a status, and what programs read in the trailing metadata. */
export interface GrpcRefusal {
  readonly code: status
  readonly details: string
  readonly trailers?: { readonly 'm2m-error': string; readonly 'm2m-reason': string }
}

/** A refusal on its way up. */
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
  return {
    code: statusOf.get(error.status) ?? status.UNAUTHENTICATED,
    details: error.message,
    trailers: { 'm2m-error': error.code, 'm2m-reason': error.reason },
  }
}

export const tokenRequired: GrpcRefusal = {
  code: status.UNAUTHENTICATED,
  details: 'RequiresM2MToken: this method is for services; send a service token in the metadata x-m2m-token.',
  trailers: { 'm2m-error': 'RequiresM2MToken', 'm2m-reason': 'missing' },
}

export function malformedToken(details: string): GrpcRefusal {
  return {
    code: status.UNAUTHENTICATED,
    details,
    trailers: { 'm2m-error': 'InvalidM2MToken', 'm2m-reason': 'malformed' },
  }
}

export const expiredStream: GrpcRefusal = {
  code: status.UNAUTHENTICATED,
  details: 'The service token of this stream has expired; open a new one.',
  trailers: { 'm2m-error': 'InvalidM2MToken', 'm2m-reason': 'expired' },
}

/** As grpc-js says it. */
export const unreadableRequest: GrpcRefusal = { code: status.INTERNAL, details: 'Error deserializing request' }

const verificationFailed: GrpcRefusal = {
  code: status.UNAVAILABLE,
  details: 'The service token could not be checked; try again shortly.',
  trailers: { 'm2m-error': 'unavailable', 'm2m-reason': 'verification_failed' },
}

const statusOf: ReadonlyMap<number, status> = new Map([
  [400, status.INVALID_ARGUMENT],
  [401, status.UNAUTHENTICATED],
  [403, status.PERMISSION_DENIED],
  [413, status.RESOURCE_EXHAUSTED],
  [503, status.UNAVAILABLE],
])
