import type { Metadata } from '@grpc/grpc-js'
import type { Caller } from '../caller.ts'
import type { ReceivedMessage } from './received-message.ts'
import { malformedToken, RefusedCall, tokenRequired } from './refusal.ts'
import { takeToken } from './token-metadata.ts'

/** Verifies the token of one call: a ServiceTokenVerifier is one. */
export interface GrpcTokenVerifier {
  verify(token: string, call: { transport: 'grpc'; method: string; message: Uint8Array | null }): Promise<Caller>
}

/** A call before anybody was let in, its token already taken out of its metadata. */
export interface ReceivedGrpcCall {
  /** `/pkg.Service/Method`. */
  readonly method: string
  readonly metadata: Metadata
  /** Whether anything stands where a service token may stand, good or bad. */
  readonly carriesServiceToken: boolean
  /** The caller behind the token. Rejects when it is missing, malformed or wrong; pass that on. */
  verifyServiceToken(verifier: GrpcTokenVerifier): Promise<Caller>
}

export function receiveCall(
  call: { metadata: Metadata; request?: unknown },
  method: { path: string; requestStream: boolean },
): ReceivedGrpcCall {
  const carried = takeToken(call.metadata)
  return {
    method: method.path,
    metadata: call.metadata,
    carriesServiceToken: carried !== undefined,
    async verifyServiceToken(verifier) {
      if (carried === undefined) throw new RefusedCall(tokenRequired)
      if ('fault' in carried) throw new RefusedCall(malformedToken(carried.fault))
      // What a token must be bound to is decided by the method's definition, never by the token.
      const message = method.requestStream ? null : (call.request as ReceivedMessage).bytes
      return verifier.verify(carried.token, { transport: 'grpc', method: method.path, message })
    },
  }
}
