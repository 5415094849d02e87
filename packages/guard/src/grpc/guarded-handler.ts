import type {
  Metadata,
  ServerDuplexStream,
  ServerMethodDefinition,
  sendUnaryData,
  UntypedHandleCall,
} from '@grpc/grpc-js'
import type { Caller } from '../caller.ts'
import { admit } from './admitted-caller.ts'
import type { GrpcGuardOptions, TokenMode } from './guard-grpc.ts'
import { ReceivedMessage } from './received-message.ts'
import {
  expiredStream,
  type GrpcRefusal,
  grpcRefusalOf,
  malformedToken,
  RefusedCall,
  tokenRequired,
  unreadableRequest,
} from './refusal.ts'
import { quietResponder } from './responder.ts'
import { removeForgedPayload, takeToken } from './token-metadata.ts'

/** Verifies the token of one call: a ServiceTokenVerifier is one. */
export interface GrpcTokenVerifier {
  verify(token: string, call: { transport: 'grpc'; method: string; message: Uint8Array | null }): Promise<Caller>
}

type Method = ServerMethodDefinition<unknown, unknown>
/** All four kinds of calls of grpc-js in one: streams where the method streams, `request` where it does not. */
export type AnyCall = ServerDuplexStream<unknown, unknown> & { request?: unknown; metadata: Metadata }
export type AnyHandler = (call: AnyCall, callback: sendUnaryData<unknown>) => unknown

/** A handler for grpc-js that calls `handler` for those who may, and answers everybody else. */
export function guardHandler(
  verifier: GrpcTokenVerifier,
  method: Method,
  handler: UntypedHandleCall,
  mode: TokenMode,
  options: GrpcGuardOptions,
): UntypedHandleCall {
  const guarded: AnyHandler = async (call, callback) => {
    const responder = quietResponder(call, callback, method, options.onError)
    removeForgedPayload(call.metadata)
    const message = call.request instanceof ReceivedMessage ? call.request : undefined
    try {
      const caller = mode === 'ignored' ? undefined : await callerBehind(call, message, method, verifier, mode)
      if (call.cancelled) return
      admit(call, caller)
      if (caller !== undefined && method.requestStream && !options.outlivesToken) {
        endAtExpiry(call, caller, options, responder.refuse)
      }
      if (message !== undefined) call.request = parsed(message)
    } catch (error) {
      return responder.refuse(grpcRefusalOf(error))
    }
    await responder.run(handler as AnyHandler)
  }
  return guarded as UntypedHandleCall
}

async function callerBehind(
  call: AnyCall,
  message: ReceivedMessage | undefined,
  method: Method,
  verifier: GrpcTokenVerifier,
  mode: TokenMode,
): Promise<Caller | undefined> {
  const carried = takeToken(call.metadata)
  if (carried === undefined) {
    if (mode === 'required') throw new RefusedCall(tokenRequired)
    return undefined
  }
  if ('fault' in carried) throw new RefusedCall(malformedToken(carried.fault))
  // What a token must be bound to is decided by the method's definition, never by the token.
  const bytes = method.requestStream ? null : message!.bytes
  return verifier.verify(carried.token, { transport: 'grpc', method: method.path, message: bytes })
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
  caller: Caller,
  { leewaySeconds = 10, now = Date.now }: GrpcGuardOptions,
  refuse: (refusal: GrpcRefusal) => void,
): void {
  if (caller.expiresAt === undefined) return
  const endsAtMilliseconds = (caller.expiresAt + leewaySeconds) * 1000
  const push = call.push.bind(call)
  call.push = (message: unknown) => {
    if (message === null || now() < endsAtMilliseconds) return push(message)
    refuse(expiredStream)
    return false
  }
}
