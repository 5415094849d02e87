import type { IncomingMessage, ServerResponse } from 'node:http'
import { answerRefusal } from './answer.ts'
import type { Caller } from './caller.ts'
import type { Guard } from './guard.ts'
import { GuardError } from './guard-error.ts'
import { nodeRequest } from './node-request.ts'
import type { Requirement } from './requirement.ts'
import { dropInboundPayload, payloadOf, type WithServicePayload } from './service-token/inbound-payload.ts'

export type GuardedRequest = IncomingMessage & { caller: Caller } & WithServicePayload

/** What a guarded handler returns is passed on, so that its own failures reach whoever waits for it. */
export type GuardedHandler = (request: GuardedRequest, response: ServerResponse) => unknown

/**
 * A listener for node:http that calls `handler` only for callers who meet the requirement, with `request.caller` set,
 * and `request.m2mPayload` where the caller came with a service token.
 * Everybody else is answered here, with problem+json. Throws GuardConfigurationError at once for a bad requirement.
 */
export function guardNode(
  guard: Guard,
  requirement: Requirement,
  handler: GuardedHandler,
): (request: IncomingMessage, response: ServerResponse) => Promise<unknown> {
  guard.check(requirement)
  return async (request, response) => {
    dropInboundPayload(request)
    let caller: Caller
    try {
      caller = await guard.verify(nodeRequest(request), requirement)
    } catch (error) {
      if (!(error instanceof GuardError)) throw error
      return answerRefusal(response, error)
    }
    const m2mPayload = payloadOf(caller)
    return handler(Object.assign(request, { caller }, m2mPayload && { m2mPayload }), response)
  }
}
