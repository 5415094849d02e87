import { createHash, timingSafeEqual } from 'node:crypto'
import type { FastifyInstance } from 'fastify'
import { Problem } from '../problem.ts'
import { sendProblem } from './answer.ts'

/** What a service tells about itself. */
export interface ServicePages {
  /** `/.well-known/jwks.json`: the keys that its tokens are verified with. */
  keys(): { readonly keys: readonly object[] }
  /** `/.well-known/service.json`: its business APIs, for those that call them by name. */
  description(): object
  readonly openApi: object
  /** Rejects, with a sentence for whoever looks after the service, while it cannot do its work. */
  ready(): Promise<void>
  readonly metrics: { readonly contentType: string; metrics(): Promise<string> }
  readonly metricsToken: string | undefined
}

/** Open to anybody; the metrics only to whoever bears METRICS_TOKEN, where it is set. */
export function servicePages(app: FastifyInstance, pages: ServicePages): void {
  app.get('/.well-known/jwks.json', async (_request, reply) =>
    // Short: a new key signs at once, and whoever verifies must come to know it soon.
    reply.header('cache-control', 'public, max-age=60').send(pages.keys()),
  )
  app.get('/.well-known/service.json', async (_request, reply) =>
    reply.header('cache-control', 'public, max-age=60').send(pages.description()),
  )
  app.get('/openapi.json', async () => pages.openApi)
  app.get('/healthz', async () => ({ status: 'ok' }))
  app.get('/readyz', async (_request, reply) => {
    try {
      await pages.ready()
      return { status: 'ready' }
    } catch (error) {
      return sendProblem(reply, new Problem(503, 'not_ready', (error as Error).message))
    }
  })
  app.get('/metrics', async (request, reply) => {
    if (pages.metricsToken !== undefined && !isBearer(request.headers.authorization, pages.metricsToken)) {
      reply.header('www-authenticate', 'Bearer realm="metrics"')
      return sendProblem(reply, new Problem(401, 'unauthorized', 'metrics need the Bearer token of METRICS_TOKEN'))
    }
    return reply.type(pages.metrics.contentType).send(await pages.metrics.metrics())
  })
}

function isBearer(authorization: string | undefined, token: string): boolean {
  const digest = (text: string) => createHash('sha256').update(text).digest()
  return timingSafeEqual(digest(authorization ?? ''), digest(`Bearer ${token}`))
}
