import type { Context, MiddlewareHandler } from 'hono'
import type { Caller } from './caller.ts'
import type { Guard } from './guard.ts'
import { GuardError } from './guard-error.ts'
import { checkRequirement, type Requirement } from './requirement.ts'

export interface GuardedVariables {
  Variables: { caller: Caller }
}

/**
 * Middleware that lets only callers through who meet the requirement; behind it `context.get('caller')` is the caller.
 * Everybody else is answered here, with problem+json. Throws GuardConfigurationError at once for a bad requirement.
 */
export function guardHono(guard: Guard, requirement: Requirement = {}): MiddlewareHandler<GuardedVariables> {
  checkRequirement(requirement)
  return async (context, next) => {
    try {
      context.set('caller', await guard.verify(asSeen(context), requirement))
    } catch (error) {
      if (!(error instanceof GuardError)) throw error
      return new Response(JSON.stringify(error.toProblem()), { status: error.status, headers: error.headers() })
    }
    await next()
  }
}

/** On Node the adapter hands the raw headers along; elsewhere a second Authorization was joined to the first by a comma. */
function asSeen(context: Context<GuardedVariables>) {
  const { incoming } = (context.env ?? {}) as { incoming?: { rawHeaders?: readonly string[] } }
  return { headers: context.req.raw.headers, rawHeaders: incoming?.rawHeaders, url: context.req.url }
}
