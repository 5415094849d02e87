import type { FastifyInstance } from 'fastify'
import type { Authority } from '../authority.ts'
import { Problem } from './problem.ts'

/** Live: the process answers. Ready: it could issue a token now. */
export function healthRoutes(app: FastifyInstance, authority: Authority, isDraining: () => boolean): void {
  app.get('/healthz', async () => ({ status: 'ok' }))
  app.get('/readyz', async () => {
    if (isDraining()) throw new Problem(503, 'draining', 'the server is shutting down')
    try {
      await authority.store.ping()
    } catch {
      throw new Problem(503, 'store_unavailable', 'the database does not answer')
    }
    if (!authority.keyRing.has('ES256'))
      throw new Problem(503, 'no_signing_key', 'there is no active ES256 signing key')
    return { status: 'ready' }
  })
}
