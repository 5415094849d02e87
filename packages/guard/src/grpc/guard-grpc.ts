import type { ServiceDefinition, UntypedHandleCall, UntypedServiceImplementation } from '@grpc/grpc-js'
import { GuardConfigurationError } from '../guard-error.ts'
import { type GrpcTokenVerifier, guardHandler } from './guarded-handler.ts'
import { ReceivedMessage } from './received-message.ts'

/** `required`: no call without a token. `accepted`: a call may come without one. `ignored`: a token is not looked at. */
export type TokenMode = 'required' | 'accepted' | 'ignored'

export interface GrpcGuardOptions {
  /** False: calls without a token pass too, and have no caller. A token that is there and wrong is refused all the same. */
  readonly required?: boolean
  /** Other rules for single methods, by their names in the definition. */
  readonly methods?: Readonly<Record<string, TokenMode>>
  /** Messages of a request stream are taken after the token has expired, too. */
  readonly outlivesToken?: boolean
  /** How long after its token's expiry a request stream may go on. 10. */
  readonly leewaySeconds?: number
  /** What a handler threw, or failed with otherwise than by a gRPC status; callers are told nothing of it. Prints it. */
  readonly onError?: (error: unknown, method: string) => void
  /** Milliseconds since the epoch. */
  readonly now?: () => number
}

/**
 * Wraps a gRPC service so that its handlers are called for verified callers only:
 * `server.addService(...guardGrpc(verifier, definition, implementation))`. Handlers are those of grpc-js, and may be
 * async; they find the caller in `call.caller`, `call.m2mPayload` or `callerOf(call)`.
 *
 * Refusals are UNAUTHENTICATED, PERMISSION_DENIED (access lists) or UNAVAILABLE (keys or store away), with
 * `m2m-error` and `m2m-reason` in the trailing metadata. A request that is one message is parsed only after the
 * token was found good for its bytes; server interceptors see a ReceivedMessage until then.
 */
export function guardGrpc<Implementation extends UntypedServiceImplementation>(
  verifier: GrpcTokenVerifier,
  definition: ServiceDefinition<Implementation>,
  implementation: Implementation,
  options: GrpcGuardOptions = {},
): [ServiceDefinition<Implementation>, Implementation] {
  checkMethodNames(definition, options)
  const methods = Object.entries(definition).map(([name, method]) => {
    const handler = implementation[name] ?? implementation[method.originalName ?? name]
    if (handler === undefined) return { name, method, handler }
    const mode = options.methods?.[name] ?? (options.required === false ? 'accepted' : 'required')
    return {
      name,
      method: method.requestStream ? method : { ...method, requestDeserialize: keeper(method.requestDeserialize) },
      handler: guardHandler(verifier, method, handler.bind(implementation) as UntypedHandleCall, mode, options),
    }
  })
  return [
    Object.fromEntries(methods.map(({ name, method }) => [name, method])) as ServiceDefinition<Implementation>,
    Object.fromEntries(
      methods.filter(({ handler }) => handler !== undefined).map(({ name, handler }) => [name, handler]),
    ) as Implementation,
  ]
}

function keeper(parse: (bytes: Buffer) => unknown): (bytes: Buffer) => ReceivedMessage {
  return (bytes) => new ReceivedMessage(bytes, parse)
}

function checkMethodNames(definition: object, { methods = {} }: GrpcGuardOptions): void {
  for (const [name, mode] of Object.entries(methods)) {
    if (!Object.hasOwn(definition, name)) {
      const known = Object.keys(definition).join(', ')
      throw new GuardConfigurationError(`the gRPC service has no method "${name}"; it has ${known}`)
    }
    if (mode !== 'required' && mode !== 'accepted' && mode !== 'ignored') {
      throw new GuardConfigurationError(`the rule of the gRPC method "${name}" is none of required, accepted, ignored`)
    }
  }
}
