import type { IncomingMessage } from 'node:http'
import type { ServiceCaller } from '@countersign/guard'

/** Looks at the service token of an HTTP request. */
export interface ServiceTokenCheck {
  /** Whether anything stands where a service token may stand, good or bad. */
  carries(request: IncomingMessage): boolean
  /** Rejects with GuardError `RequiresM2MToken`, `InvalidM2MToken`, ... */
  verify(request: IncomingMessage, content: () => Promise<Buffer>): Promise<ServiceCaller>
}
