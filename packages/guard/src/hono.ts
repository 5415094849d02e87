import type { IncomingMessage } from 'node:http'
import type { Context, MiddlewareHandler } from 'hono'
import { closing } from './answer.ts'
import type { RequestLike } from './bearer-token.ts'
import type { Caller } from './caller.ts'
import type { Guard } from './guard.ts'
import { GuardError } from './guard-error.ts'
import { nodeRequest } from './node-request.ts'
import type { Requirement } from './requirement.ts'
import { readFetchContent } from './service-token/fetch-content.ts'
import { dropInboundPayload, payloadHeaders, payloadOf } from './service-token/inbound-payload.ts'
import type { ServiceTokenPayload } from './service-token/service-caller.ts'

export interface GuardedVariables {
  Variables: { caller: Caller; m2mPayload?: ServiceTokenPayload }
}

/**
 * Middleware that lets only callers through who meet the requirement; behind it `context.get('caller')` is the caller, and
 * `context.get('m2mPayload')` the claims of his service token, if he came with one.
 * Everybody else is answered here, with problem+json. Throws GuardConfigurationError at once for a bad requirement.
 */
export function guardHono(guard: Guard, requirement: Requirement = {}): MiddlewareHandler<GuardedVariables> {
  guard.check(requirement)
  return async (context, next) => {
    const { incoming } = (context.env ?? {}) as { incoming?: IncomingMessage }
    context.set('m2mPayload', undefined)
    if (incoming !== undefined) dropInboundPayload(incoming)
    dropPayloadHeaders(context, incoming)
    try {
      context.set('caller', await guard.verify(asSeen(context, incoming), requirement))
    } catch (error) {
      if (!(error instanceof GuardError)) throw error
      const headers = { ...error.headers(), ...(incoming === undefined ? {} : closing(error, incoming)) }
      return new Response(JSON.stringify(error.toProblem()), { status: error.status, headers })
    }
    context.set('m2mPayload', payloadOf(context.get('caller')))
    await next()
  }
}

/** On Node the headers can be changed, and a new request would take the content away from whoever reads it there. */
function dropPayloadHeaders({ req }: Context<GuardedVariables>, incoming: IncomingMessage | undefined): void {
  const found = payloadHeaders.filter((name) => req.raw.headers.has(name))
  if (found.length === 0) return
  if (incoming === undefined) req.raw = new Request(req.raw)
  for (const name of found) req.raw.headers.delete(name)
}

/**
 * On Node what came stands in `incoming`, also what a Fetch request cannot show: a second header of one name, a path as
 * it was written, the content of a GET. Elsewhere the Fetch request is all there is.
 */
function asSeen(context: Context<GuardedVariables>, incoming: IncomingMessage | undefined): RequestLike {
  const { raw } = context.req
  if (incoming !== undefined) {
    const { readContent, ...request } = nodeRequest(incoming)
    return { ...request, headers: raw.headers, readContent: async (size) => keep(incoming, await readContent!(size)) }
  }
  const { headers, url, method } = raw
  return { headers, url, method, incoming: raw, readContent: (maximumBytes) => readFetchContent(raw, maximumBytes) }
}

/** Where @hono/node-server looks for content first; from version 2 on it takes no stream that was read, put back or not. */
function keep(incoming: IncomingMessage & { rawBody?: Uint8Array }, content: Uint8Array): Uint8Array {
  incoming.rawBody = content
  return content
}
