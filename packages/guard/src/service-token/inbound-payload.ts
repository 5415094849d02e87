import type { IncomingHttpHeaders } from 'node:http'
import type { Caller } from '../caller.ts'
import type { ServiceCaller, ServiceTokenPayload } from './service-caller.ts'

/** What guarded requests have besides `caller`. */
export interface WithServicePayload {
  /** The verified claims of the service token; set by the guard, and only where there was one. */
  m2mPayload?: ServiceTokenPayload
}

/** Takes away whatever calls itself a verified payload before one is: anybody could have put it there. */
export function dropInboundPayload(request: object & { headers: IncomingHttpHeaders }): void {
  if ('m2mPayload' in request) delete (request as WithServicePayload).m2mPayload
  for (const name of payloadHeaders) if (request.headers[name] !== undefined) delete request.headers[name]
}

/** No sender and no receiver of ours uses these; some hand verified claims on in one of them. */
export const payloadHeaders = ['m2mpayload', 'm2m-payload', 'x-m2m-payload'] as const

/** The payload to set on a request, undefined where the caller came with something else. */
export function payloadOf(caller: Caller): ServiceTokenPayload | undefined {
  return caller.method === 'service_token' ? (caller as ServiceCaller).claims : undefined
}
