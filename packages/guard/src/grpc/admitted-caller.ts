import type { Caller } from '../caller.ts'
import { payloadOf } from '../service-token/inbound-payload.ts'
import type { ServiceTokenPayload } from '../service-token/service-caller.ts'

/** A call of grpc-js as a guarded handler gets it: `GuardedCall<ServerUnaryCall<Request, Answer>>`. */
export type GuardedCall<Call extends object> = Call & {
  /** Undefined where a token is not required and none came. */
  readonly caller?: Caller
  /** The verified claims of the service token. */
  readonly m2mPayload?: ServiceTokenPayload
}

/**
 * Who makes this call, for a handler that `guardGrpc` guards: undefined where a token is not required and none came.
 * Also on the call itself, as `call.caller` and `call.m2mPayload` (the verified claims).
 */
export function callerOf(call: object): Caller | undefined {
  return callers.get(call)
}

/** Only the guard calls this, after verification. */
export function setCaller(call: object, caller: Caller | undefined): void {
  if (caller !== undefined) callers.set(call, caller)
  Object.assign(call, { caller, m2mPayload: caller && payloadOf(caller) })
}

const callers = new WeakMap<object, Caller>()
