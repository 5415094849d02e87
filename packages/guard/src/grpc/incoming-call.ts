import type { Metadata } from '@grpc/grpc-js'
import { GuardError } from '../guard-error.ts'
import type { ServiceCaller } from '../service-token/service-caller.ts'
import type { ServiceTokenVerifier } from '../service-token/service-token-verifier.ts'
import type { ReceivedMessage } from './received-message.ts'
import { takeToken } from './token-metadata.ts'

/** As much of a ServiceTokenVerifier as gRPC needs. */
export type GrpcTokenVerifier = Pick<ServiceTokenVerifier, 'name' | 'verify' | 'refuse'>

/** A call before anybody was let in, its token already taken out of its metadata. */
export interface IncomingGrpcCall {
  /** `/pkg.Service/Method`. */
  readonly method: string
  readonly metadata: Metadata
  /** Whether anything stands where a service token may stand, good or bad. */
  readonly carriesServiceToken: boolean
  /** The caller behind the token. Rejects with GuardError, also where there is no token (`RequiresM2MToken`). */
  verifyServiceToken(verifier: GrpcTokenVerifier): Promise<ServiceCaller>
}

export function incomingCall(
  call: { metadata: Metadata; request?: unknown },
  method: { path: string; requestStream: boolean },
): IncomingGrpcCall {
  const carried = takeToken(call.metadata)
  return {
    method: method.path,
    metadata: call.metadata,
    carriesServiceToken: carried !== undefined,
    async verifyServiceToken(verifier) {
      if (carried === undefined) throw tokenRequired(verifier.name)
      if ('fault' in carried) {
        throw verifier.refuse({ transport: 'grpc', target: method.path }, 'malformed', carried.fault)
      }
      // What a token must be bound to is decided by the method's definition, never by the token.
      const message = method.requestStream ? null : (call.request as ReceivedMessage).bytes
      return verifier.verify(carried.token, { transport: 'grpc', method: method.path, message })
    },
  }
}

function tokenRequired(realm: string): GuardError {
  const message = 'This method asks for a service token in the metadata x-m2m-token.'
  return new GuardError({ code: 'RequiresM2MToken', reason: 'missing_credential', message, realm })
}
