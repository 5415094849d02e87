import type { AddressInfo } from 'node:net'
import Fastify, { type FastifyInstance } from 'fastify'
import { describeError, reasonOf } from '../log/describe-error.ts'
import { Problem } from '../problem.ts'
import { ServiceError } from '../service-error.ts'
import type { Transport, TransportRuntime } from '../transport.ts'
import { sendProblem } from './answer.ts'
import { operationRoutes } from './operation-routes.ts'
import { type ServicePages, servicePages } from './service-pages.ts'
import type { ServiceTokenCheck } from './service-token-check.ts'

export interface RestTransport extends Transport {
  /** `http://host:port`, once it has started. */
  readonly address: string | undefined
}

export interface RestRuntime extends TransportRuntime {
  readonly serviceTokens: ServiceTokenCheck
  /** Named in challenges. */
  readonly realm: string
  readonly pages: ServicePages
}

/** The service's HTTP side: its operations, and the pages about itself. */
export async function createRestTransport(runtime: RestRuntime): Promise<RestTransport> {
  const { settings, log } = runtime
  const app = buildApp()
  let address: string | undefined
  let stopping = false
  app.addHook('onRequest', async (request, reply) => {
    if (!stopping || request.url === '/healthz') return
    reply.header('connection', 'close')
    return sendProblem(reply, new Problem(503, 'stopping', 'the service is shutting down; try another replica'))
  })
  answerWithProblems(app, runtime)
  servicePages(app, runtime.pages)
  operationRoutes(app, runtime)
  await app.ready()

  return {
    get address() {
      return address
    },
    async start() {
      const { httpHost: host, httpPort: port } = settings
      await app.listen({ host, port }).catch((cause: NodeJS.ErrnoException) => {
        const sentence = `HTTP cannot listen on ${host}:${port} (${reasonOf(cause)}); set HTTP_PORT and HTTP_HOST`
        throw new ServiceError('cannot_start', sentence, { cause })
      })
      address = addressOf(app.server.address() as AddressInfo)
      log.info({ address }, 'REST is served')
    },
    async stop() {
      stopping = true
      const closed = app.close()
      // A connection that becomes idle after this would be kept alive, and hold up the end.
      const sweep = setInterval(() => app.server.closeIdleConnections(), 50)
      const cut = setTimeout(() => app.server.closeAllConnections(), settings.stopSeconds * 1000)
      await closed.finally(() => {
        clearInterval(sweep)
        clearTimeout(cut)
      })
    },
  }
}

function buildApp(): FastifyInstance {
  const app = Fastify({
    logger: false,
    // Whoever sends his request byte by byte holds a socket no longer than this.
    http: { headersTimeout: 15_000, connectionsCheckingInterval: 5_000 },
    requestTimeout: 30_000,
    keepAliveTimeout: 65_000,
    forceCloseConnections: 'idle',
    // What comes in on a connection kept alive is told so by the hook above, with a body that says why.
    return503OnClosing: false,
    exposeHeadRoutes: false,
    frameworkErrors: (error, _request, reply) => void sendProblem(reply, ofFramework(error)),
    routerOptions: { maxParamLength: 1024, querystringParser: () => ({}) },
  })
  // Contents are read where they are verified, byte for byte, and parsed after that.
  app.removeAllContentTypeParsers()
  app.addContentTypeParser('*', (_request, _payload, done) => done(null, undefined))
  return app
}

function answerWithProblems(app: FastifyInstance, { log }: RestRuntime): void {
  app.setNotFoundHandler((request, reply) => {
    const [path = ''] = request.url.split('?', 1)
    const shown = /^[\w\-./~]{1,200}$/.test(path) ? `${request.method} ${path}` : 'this path'
    return sendProblem(reply, new Problem(404, 'not_found', `there is nothing at ${shown}; see /openapi.json`))
  })
  app.setErrorHandler((error: Error & { statusCode?: number }, _request, reply) => {
    const problem = error instanceof Problem ? error : ofFramework(error)
    if (problem.status >= 500) log.error({ err: describeError(error) }, 'a request failed')
    return sendProblem(reply, problem)
  })
}

function ofFramework(error: Error & { statusCode?: number }): Problem {
  const { statusCode = 500 } = error
  return statusCode >= 400 && statusCode < 500
    ? new Problem(statusCode, 'malformed', 'the request is malformed')
    : new Problem(500, 'failed', "the request failed; the service's log says why")
}

function addressOf({ address, family, port }: AddressInfo): string {
  const anywhere = address === '0.0.0.0' || address === '::'
  const host = anywhere ? 'localhost' : family === 'IPv6' ? `[${address}]` : address
  return `http://${host}:${port}`
}
