import type { FastifyInstance, FastifyReply, FastifyRequest, preHandlerAsyncHookHandler } from 'fastify'
import type { Caller } from './caller.ts'
import type { Guard } from './guard.ts'
import { GuardConfigurationError, GuardError } from './guard-error.ts'
import { checkRequirement, type Requirement } from './requirement.ts'

declare module 'fastify' {
  interface FastifyRequest {
    /** Who is calling. Set behind `guardFastify`; `null` on routes that are open to anybody. */
    caller: Caller
  }
  interface FastifyContextConfig {
    /** The caller needs all of these. */
    scopes?: readonly string[]
    /** The caller needs one of these. */
    anyScope?: readonly string[]
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
 * A route says what it needs in its `config`: `scopes`, `anyScope`, or `anonymous: true` to be open.
 * Who is refused is answered here, with problem+json, before his body is read.
 */
export async function guardFastify(app: FastifyInstance, options: GuardFastifyOptions): Promise<void> {
  const { guard } = options
  if (typeof guard?.verify !== 'function')
    throw new GuardConfigurationError('guardFastify needs { guard }: what createGuard returned')
  if (!app.hasRequestDecorator('caller')) app.decorateRequest('caller', null as unknown as Caller)
  app.decorate('requireCaller', (requirement: Requirement = {}) => {
    checkRequirement(requirement)
    return (request, reply) => admit(guard, requirement, request, reply)
  })
  app.addHook('onRoute', (route) => void requirementOf(route.config))
  app.addHook('onRequest', async (request, reply) => {
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
    request.caller = await guard.verify(request.raw, requirement)
  } catch (error) {
    if (!(error instanceof GuardError)) throw error
    // As bytes, so that no response schema of the route reshapes it.
    return reply
      .code(error.status)
      .headers(error.headers())
      .send(Buffer.from(JSON.stringify(error.toProblem())))
  }
}

interface RouteConfig {
  scopes?: readonly string[]
  anyScope?: readonly string[]
  anonymous?: boolean
}

/** Read once a route. A misspelt `scope` would leave the route open to every caller, so it is refused. */
function requirementOf(config: RouteConfig = {}): Requirement | 'anonymous' {
  const known = requirements.get(config)
  if (known !== undefined) return known
  if ('scope' in config) throw new GuardConfigurationError('a route\'s config has "scopes", a list; not "scope"')
  const { scopes, anyScope, anonymous } = config
  const requirement = { ...(scopes ? { scopes } : {}), ...(anyScope ? { anyScope } : {}) }
  checkRequirement(requirement)
  if (anonymous === true && (scopes ?? anyScope))
    throw new GuardConfigurationError('a route cannot be anonymous and need scopes')
  const found = anonymous === true ? 'anonymous' : requirement
  requirements.set(config, found)
  return found
}

const requirements = new WeakMap<RouteConfig, Requirement | 'anonymous'>()
