import type { ServiceDefinition, UntypedServiceImplementation } from '@grpc/grpc-js'
import type { Guard } from '../guard.ts'
import { GuardConfigurationError } from '../guard-error.ts'
import type { Requirement } from '../requirement.ts'
import { callRequest } from './call-request.ts'
import { type AnyHandler, type GrpcAdmission, guardHandler, type HandlerOptions } from './guarded-handler.ts'
import type { GrpcTokenVerifier } from './incoming-call.ts'
import { ReceivedMessage } from './received-message.ts'

export interface GrpcGuardOptions extends HandlerOptions {
  /** False: calls without a token pass too, and have no caller. A token that is there and wrong is refused all the same. */
  readonly required?: boolean
  /** Another `required` for single methods, by their names in the definition. */
  readonly methods?: Readonly<Record<string, { readonly required: boolean }>>
}

/** What the methods of a service ask of their callers. */
export interface GrpcRequirements extends HandlerOptions {
  /** For all methods. Default: to be somebody. */
  readonly requirement?: Requirement
  /** Another one for single methods, by their names in the definition; `anonymous` opens one to anybody. */
  readonly methods?: Readonly<Record<string, Requirement | 'anonymous'>>
}

/**
 * Wraps a gRPC service so that its handlers are called for verified callers only:
 * `server.addService(...guardGrpc(verifier, definition, implementation))`. Handlers are those of grpc-js, and may be
 * async; they find the caller in `call.caller`, `call.m2mPayload` (their type is GuardedCall) or `callerOf(call)`.
 *
 * Refusals are UNAUTHENTICATED, PERMISSION_DENIED (access lists) or UNAVAILABLE (keys or store away), with
 * `m2m-error` and `m2m-reason` in the trailing metadata. A request that is one message is parsed only after the
 * token was found good for its bytes; until then server interceptors see a ReceivedMessage in its place.
 * Throws GuardConfigurationError for methods that the service does not have.
 */
export function guardGrpc<Implementation extends UntypedServiceImplementation>(
  verifier: GrpcTokenVerifier,
  definition: ServiceDefinition<Implementation>,
  implementation: Implementation,
  options?: GrpcGuardOptions,
): [ServiceDefinition<Implementation>, Implementation]
/**
 * The same for all that a guard takes: access tokens and JWT-SVIDs in the metadata `authorization`, client certificates of servers
 * with `grpcServerCredentials` of @countersign/spiffe/grpc, and service tokens where the guard was given `serviceTokens`.
 * Scopes that lack are PERMISSION_DENIED.
 */
export function guardGrpc<Implementation extends UntypedServiceImplementation>(
  guard: Guard,
  definition: ServiceDefinition<Implementation>,
  implementation: Implementation,
  options?: GrpcRequirements,
): [ServiceDefinition<Implementation>, Implementation]
export function guardGrpc<Implementation extends UntypedServiceImplementation>(
  by: GrpcTokenVerifier | Guard,
  definition: ServiceDefinition<Implementation>,
  implementation: Implementation,
  options: GrpcGuardOptions | GrpcRequirements = {},
): [ServiceDefinition<Implementation>, Implementation] {
  checkMethodNames(definition, options.methods ?? {})
  return 'verifyToken' in by
    ? byGuard(by, definition, implementation, options as GrpcRequirements)
    : byVerifier(by, definition, implementation, options as GrpcGuardOptions)
}

function byGuard<Implementation extends UntypedServiceImplementation>(
  guard: Guard,
  definition: ServiceDefinition<Implementation>,
  implementation: Implementation,
  { requirement = {}, methods = {}, ...rest }: GrpcRequirements,
): [ServiceDefinition<Implementation>, Implementation] {
  const requirements = new Map(
    Object.entries(definition).map(([name, { path }]) => [path, methods[name] ?? requirement]),
  )
  for (const needed of requirements.values()) if (needed !== 'anonymous') guard.check(needed)
  return admitGrpc(
    async (incoming, call) => {
      const needed = requirements.get(incoming.method)!
      return needed === 'anonymous' ? undefined : guard.verify(callRequest(incoming, call, 'grpc'), needed)
    },
    definition,
    implementation,
    rest,
  )
}

function byVerifier<Implementation extends UntypedServiceImplementation>(
  verifier: GrpcTokenVerifier,
  definition: ServiceDefinition<Implementation>,
  implementation: Implementation,
  { required = true, methods = {}, ...rest }: GrpcGuardOptions,
): [ServiceDefinition<Implementation>, Implementation] {
  const optional = new Set(
    Object.entries(definition)
      .filter(([name]) => !(methods[name]?.required ?? required))
      .map(([, method]) => method.path),
  )
  return admitGrpc(
    async (incoming) => {
      if (!incoming.carriesServiceToken && optional.has(incoming.method)) return undefined
      return incoming.verifyServiceToken(verifier)
    },
    definition,
    implementation,
    rest,
  )
}

function checkMethodNames(definition: ServiceDefinition, methods: object): void {
  for (const name of Object.keys(methods)) {
    if (Object.hasOwn(definition, name)) continue
    const known = Object.keys(definition).join(', ')
    throw new GuardConfigurationError(`the gRPC service has no method "${name}"; it has ${known}`)
  }
}

/** As `guardGrpc`, for rules of your own about who is let in. */
export function admitGrpc<Implementation extends UntypedServiceImplementation>(
  admit: GrpcAdmission,
  definition: ServiceDefinition<Implementation>,
  implementation: Implementation,
  options: HandlerOptions = {},
): [ServiceDefinition<Implementation>, Implementation] {
  const guardedDefinition: Record<string, ServiceDefinition[string]> = {}
  const guardedImplementation: Record<string, AnyHandler> = {}
  for (const [name, method] of Object.entries(definition)) {
    guardedDefinition[name] = method
    const handler = implementation[name] ?? implementation[method.originalName ?? name]
    if (handler === undefined) continue
    if (!method.requestStream) guardedDefinition[name] = { ...method, requestDeserialize: keep(method) }
    guardedImplementation[name] = guardHandler(method, handler.bind(implementation) as AnyHandler, admit, options)
  }
  return [guardedDefinition as ServiceDefinition<Implementation>, guardedImplementation as unknown as Implementation]
}

function keep({ requestDeserialize }: ServiceDefinition[string]): (bytes: Buffer) => ReceivedMessage {
  return (bytes) => new ReceivedMessage(bytes, requestDeserialize)
}
