import type { FastifyInstance, FastifyReply, FastifyRequest, preHandlerAsyncHookHandler } from 'fastify'
import { closing } from './answer.ts'
import type { Caller } from './caller.ts'
import type { Guard } from './guard.ts'
import { GuardConfigurationError, GuardError } from './guard-error.ts'
import { nodeRequest } from './node-request.ts'
import { type CredentialMode, checkRequirement, type Requirement, type ServiceTokenMode } from './requirement.ts'
import { dropInboundPayload, payloadOf } from './service-token/inbound-payload.ts'
import type { ServiceTokenPayload } from './service-token/service-caller.ts'

declare module 'fastify' {
  interface FastifyRequest {
    /** Who is calling. Set behind `guardFastify`; `null` on routes that are open to anybody. */
    caller: Caller
    /** The verified claims of the service token, where the caller came with one. */
    m2mPayload?: ServiceTokenPayload
  }
  interface FastifyContextConfig {
    /** The caller needs all of these. */
    scopes?: readonly string[]
    /** The caller needs one of these. */
    anyScope?: readonly string[]
    /** Whether a service token is needed, or looked at. */
    serviceToken?: ServiceTokenMode
    /** Whether a client certificate is needed, or looked at. */
    mtls?: CredentialMode
    /** Whether a Bearer token is needed, or looked at. */
    bearer?: CredentialMode
    /** True opens the route to anybody, without a look at his credential. */
    anonymous?: boolean
  }
  interface FastifyInstance {
    /** A preHandler for one route: its caller must meet the requirement. */
    requireCaller(requirement?: Requirement): preHandlerAsyncHookHandler
  }
}

export interface GuardFastifyOptions {
  readonly guard: Guard
}

/**
 * Guards every route of the instance that it is registered on, and of the plugins within, but nothing outside.
 * A route says what it needs in its `config`: `scopes`, `anyScope`, `serviceToken`, or `anonymous: true` to be open.
 * Who is refused is answered here, with problem+json, before his body is read.
 */
export async function guardFastify(app: FastifyInstance, options: GuardFastifyOptions): Promise<void> {
  const { guard } = options
  if (typeof guard?.verify !== 'function')
    throw new GuardConfigurationError('guardFastify needs { guard }: what createGuard returned')
  if (!app.hasRequestDecorator('caller')) app.decorateRequest('caller', null as unknown as Caller)
  if (!app.hasRequestDecorator('m2mPayload')) app.decorateRequest('m2mPayload', undefined)
  app.decorate('requireCaller', (requirement: Requirement = {}) => {
    guard.check(requirement)
    return (request, reply) => admit(guard, requirement, request, reply)
  })
  app.addHook('onRoute', (route) => {
    const requirement = requirementOf(route.config)
    if (requirement !== 'anonymous') guard.check(requirement)
  })
  app.addHook('onRequest', async (request, reply) => {
    request.m2mPayload = undefined
    dropInboundPayload(request.raw)
    const requirement = requirementOf(request.routeOptions.config)
    if (requirement !== 'anonymous') return admit(guard, requirement, request, reply)
  })
}

/** Tells Fastify that the hooks are for the instance that registers the plugin, not for a new one inside. */
Object.assign(guardFastify, {
  [Symbol.for('skip-override')]: true,
  [Symbol.for('fastify.display-name')]: 'guardFastify',
})

async function admit(guard: Guard, requirement: Requirement, request: FastifyRequest, reply: FastifyReply) {
  try {
    request.caller = await guard.verify(nodeRequest(request.raw), requirement)
    request.m2mPayload = payloadOf(request.caller)
  } catch (error) {
    if (!(error instanceof GuardError)) throw error
    // As bytes, so that no response schema of the route reshapes it.
    return reply
      .code(error.status)
      .headers({ ...error.headers(), ...closing(error, request.raw) })
      .send(Buffer.from(JSON.stringify(error.toProblem())))
  }
}

interface RouteConfig {
  scopes?: readonly string[]
  anyScope?: readonly string[]
  serviceToken?: ServiceTokenMode
  mtls?: CredentialMode
  bearer?: CredentialMode
  anonymous?: boolean
}

/** Read once a route. A misspelt `scope` would leave the route open to every caller, so it is refused. */
function requirementOf(config: RouteConfig = {}): Requirement | 'anonymous' {
  const known = requirements.get(config)
  if (known !== undefined) return known
  if ('scope' in config) throw new GuardConfigurationError('a route\'s config has "scopes", a list; not "scope"')
  const { scopes, anyScope, serviceToken, mtls, bearer, anonymous } = config
  const requirement = {
    ...(scopes ? { scopes } : {}),
    ...(anyScope ? { anyScope } : {}),
    ...(serviceToken ? { serviceToken } : {}),
    ...(mtls ? { mtls } : {}),
    ...(bearer ? { bearer } : {}),
  }
  checkRequirement(requirement)
  if (anonymous === true && Object.keys(requirement).length > 0)
    throw new GuardConfigurationError('a route cannot be anonymous and need scopes or a credential')
  const found = anonymous === true ? 'anonymous' : requirement
  requirements.set(config, found)
  return found
}

const requirements = new WeakMap<RouteConfig, Requirement | 'anonymous'>()
