import type { IncomingMessage, ServerResponse } from 'node:http'
import type { FastifyBaseLogger, FastifyInstance, RawServerDefault } from 'fastify'
import type { ZodTypeProvider } from 'fastify-type-provider-zod'
import type { Authority } from '../authority.ts'
import type { AdminScope } from './admin-scopes.ts'

/** The instance that the nouns register their routes on: guarded, and with zod schemas. */
export type AdminApp = FastifyInstance<
  RawServerDefault,
  IncomingMessage,
  ServerResponse,
  FastifyBaseLogger,
  ZodTypeProvider
>

export interface AdminContext {
  authority: Authority
  /** Lets clients publish keys over plain http on this machine: for development */
  allowLoopbackJwksUri: boolean
}

declare module 'fastify' {
  interface FastifyContextConfig {
    /** Answered by 409 `no_trust_domain` where the server has none */
    needsTrustDomain?: boolean
  }
}

/** What a route needs, checked by the guard. */
export function needs(...scopes: AdminScope[]): { scopes: AdminScope[] } {
  return { scopes }
}
