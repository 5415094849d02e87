import type { Request, RequestHandler } from 'express'
import { answerRefusal } from './answer.ts'
import type { Caller } from './caller.ts'
import type { Guard } from './guard.ts'
import { GuardError } from './guard-error.ts'
import { checkRequirement, type Requirement } from './requirement.ts'

declare global {
  namespace Express {
    interface Request {
      /** Who is calling. Set behind `guardExpress`, and only there. */
      caller: Caller
    }
  }
}

/**
 * Middleware that lets only callers through who meet the requirement, and sets `request.caller`.
 * Everybody else is answered here, with problem+json. Throws GuardConfigurationError at once for a bad requirement.
 */
export function guardExpress(guard: Guard, requirement: Requirement = {}): RequestHandler {
  checkRequirement(requirement)
  return async (request, response, next) => {
    try {
      request.caller = await guard.verify(asSeen(request), requirement)
    } catch (error) {
      if (!(error instanceof GuardError)) throw error
      return answerRefusal(response, error)
    }
    next()
  }
}

/** Inside a mounted router `url` is cut short; the whole one is in `originalUrl`. */
function asSeen(request: Request) {
  return { headers: request.headers, rawHeaders: request.rawHeaders, url: request.originalUrl }
}
