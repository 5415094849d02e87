import { createClientAddress, type RateLimiter } from '@countersign/limits'
import type { GuardedFetchOptions } from '@countersign/outbound'
import Fastify, { type FastifyBaseLogger, type FastifyInstance, type FastifyRequest } from 'fastify'
import type { Authority } from '../authority.ts'
import type { ClientAuthContext } from '../client-auth/client-auth-method.ts'
import { createRemoteKeys } from '../client-auth/remote-keys.ts'
import { speakOAuth, tokenRoutes } from '../token-endpoint/routes.ts'
import { createTokenLimits, noTokenLimits, type TokenLimitSettings } from '../token-endpoint/token-limits.ts'
import { discoveryRoutes, endpointUrl } from './discovery.ts'
import { healthRoutes } from './health.ts'
import { answerWithProblems } from './problem.ts'

export interface AppOptions {
  authority: Authority
  limiter: RateLimiter
  /** Undefined: no limits */
  tokenLimits: TokenLimitSettings | undefined
  trustedProxies: readonly string[]
  logger: FastifyBaseLogger
  tls?: { key: string; cert: string }
  /** How clients' `jwks_uri` are fetched; by default with no exception from the guards */
  remoteKeyFetch?: GuardedFetchOptions
}

/** The server's whole HTTP side, not yet listening. */
export async function buildApp(options: AppOptions): Promise<FastifyInstance> {
  const { authority } = options
  const app = Fastify({
    loggerInstance: options.logger,
    // URLs may hold what a confused client put there; what happened is in the audit log.
    logController: new Fastify.LogController({ disableRequestLogging: true }),
    bodyLimit: 1024 * 1024,
    requestTimeout: 30_000,
    keepAliveTimeout: 65_000,
    forceCloseConnections: 'idle',
    exposeHeadRoutes: false,
    ...(options.tls ? { https: options.tls } : {}),
  }) as unknown as FastifyInstance
  let draining = false
  app.addHook('preClose', async () => {
    draining = true
  })
  answerWithProblems(app)
  discoveryRoutes(app, authority)
  healthRoutes(app, authority, () => draining)

  const clientAddress = createClientAddress({ trustedProxies: options.trustedProxies })
  const addressOf = (request: FastifyRequest) => clientAddress(request.raw)
  const clientAuth = clientAuthContext(authority, options.remoteKeyFetch)
  await app.register(async (oauth) => {
    speakOAuth(oauth)
    const limits = options.tokenLimits
      ? createTokenLimits(options.limiter, options.tokenLimits, () => {})
      : noTokenLimits
    tokenRoutes(oauth, {
      context: {
        ...clientAuth,
        signerFor: (algorithm) => authority.keyRing.signerFor(algorithm),
        audit: authority.audit,
        limits,
      },
      addressOf,
      onOutcome: () => {},
    })
  })
  return app
}

function clientAuthContext(authority: Authority, remoteKeyFetch?: GuardedFetchOptions): ClientAuthContext {
  return {
    issuer: authority.issuer,
    tokenEndpoint: endpointUrl(authority.issuer, '/oauth/token'),
    clientSecretKey: authority.masterKey.clientSecretKey,
    now: authority.now,
    findClient: (id) => authority.clients.find(id),
    remoteKeys: createRemoteKeys(remoteKeyFetch),
    assertions: authority.assertions,
    onCredentialUsed: (kind, id) => authority.credentialUse.note(kind, id),
  }
}
