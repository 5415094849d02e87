import type { RequestHandler } from 'express'
import { answerRefusal } from './answer.ts'
import type { Caller } from './caller.ts'
import type { Guard } from './guard.ts'
import { GuardError } from './guard-error.ts'
import { nodeRequest } from './node-request.ts'
import type { Requirement } from './requirement.ts'
import { dropInboundPayload, payloadOf } from './service-token/inbound-payload.ts'
import type { ServiceTokenPayload } from './service-token/service-caller.ts'

declare global {
  namespace Express {
    interface Request {
      /** Who is calling. Set behind `guardExpress`, and only there. */
      caller: Caller
      /** The verified claims of the service token, where the caller came with one. */
      m2mPayload?: ServiceTokenPayload
    }
  }
}

/**
 * Middleware that lets only callers through who meet the requirement, and sets `request.caller`, and `request.m2mPayload`
 * where the caller came with a service token: put it before body parsers.
 * Everybody else is answered here, with problem+json. Throws GuardConfigurationError at once for a bad requirement.
 */
export function guardExpress(guard: Guard, requirement: Requirement = {}): RequestHandler {
  guard.check(requirement)
  return async (request, response, next) => {
    dropInboundPayload(request)
    try {
      request.caller = await guard.verify(nodeRequest(request), requirement)
    } catch (error) {
      if (!(error instanceof GuardError)) throw error
      return answerRefusal(response, error)
    }
    const m2mPayload = payloadOf(request.caller)
    if (m2mPayload !== undefined) request.m2mPayload = m2mPayload
    next()
  }
}
