import type { ServerDuplexStream, sendUnaryData } from '@grpc/grpc-js'
import type { Caller } from '../caller.ts'
import { setCaller } from './admitted-caller.ts'
import { type IncomingGrpcCall, incomingCall } from './incoming-call.ts'
import { ReceivedMessage } from './received-message.ts'
import {
  expiredCredential,
  expiredStream,
  type GrpcRefusal,
  grpcRefusalOf,
  RefusedCall,
  unreadableRequest,
} from './refusal.ts'
import { quietResponder } from './responder.ts'

/** All four kinds of calls of grpc-js in one: streams where the method streams, `request` where it does not. */
export type AnyCall = ServerDuplexStream<unknown, unknown> & { request?: unknown }
export type AnyHandler = (call: AnyCall, callback: sendUnaryData<unknown>) => unknown

/** Decides about a call: the caller, or undefined to let it in without one. Rejects to refuse it. */
export type GrpcAdmission = (incoming: IncomingGrpcCall, call: object) => Promise<Caller | undefined>

export interface HandlerOptions {
  /** Messages of a request stream are taken after the token has expired, too. */
  readonly outlivesToken?: boolean
  /** How long after its token's expiry a request stream may go on. 10. */
  readonly leewaySeconds?: number
  /**
   * Hears what a handler threw, or failed with otherwise than by a gRPC status; callers are told nothing of it.
   * By default it is printed.
   */
  readonly onError?: (error: unknown, method: string) => void
  /** Milliseconds since the epoch. */
  readonly now?: () => number
}

/** A handler for grpc-js that calls `handler` for those whom `admit` lets in, and answers everybody else. */
export function guardHandler(
  method: { path: string; requestStream: boolean },
  handler: AnyHandler,
  admit: GrpcAdmission,
  options: HandlerOptions,
): AnyHandler {
  return async (call, callback) => {
    const responder = quietResponder(call, callback, method.path, options.onError)
    try {
      const caller = await admit(incomingCall(call, method), call)
      // Whoever calls has gone, or the deadline passed.
      if (call.cancelled) return
      setCaller(call, caller)
      if (caller !== undefined && method.requestStream && !options.outlivesToken) {
        endAtExpiry(call, caller, options, responder.refuse)
      }
      if (call.request instanceof ReceivedMessage) call.request = parsed(call.request)
    } catch (error) {
      return responder.refuse(grpcRefusalOf(error))
    }
    await responder.run(handler)
  }
}

function parsed(message: ReceivedMessage): unknown {
  try {
    return message.parse()
  } catch {
    throw new RefusedCall(unreadableRequest)
  }
}

/** A stream of requests has proven itself once, at its start; that proof ends with the token. */
function endAtExpiry(
  call: AnyCall,
  { expiresAt, method }: Caller,
  { leewaySeconds = 10, now = Date.now }: HandlerOptions,
  refuse: (refusal: GrpcRefusal) => void,
): void {
  if (expiresAt === undefined) return
  const endsAtMilliseconds = (expiresAt + leewaySeconds) * 1000
  const push = call.push.bind(call)
  call.push = (message: unknown) => {
    if (message === null || now() < endsAtMilliseconds) return push(message)
    refuse(method === 'service_token' ? expiredStream : expiredCredential)
    return false
  }
}
