import { type CertificateProxyOptions, createCertificateProxy, createFindPeerCertificate } from '@countersign/guard'
import { createClientAddress, type RateLimiter } from '@countersign/limits'
import type { GuardedFetchOptions } from '@countersign/outbound'
import type { Certificate } from '@countersign/spiffe'
import Fastify, { type FastifyBaseLogger, type FastifyInstance, type FastifyRequest } from 'fastify'
import { adminApi } from '../admin/routes.ts'
import { RefusalCounts } from '../audit/refusal-counts.ts'
import { VerificationLog } from '../audit/verification-log.ts'
import type { Authority } from '../authority.ts'
import type { ClientAuthContext } from '../client-auth/client-auth-method.ts'
import { createRemoteKeys } from '../client-auth/remote-keys.ts'
import { isLoopbackHttp } from '../clients/client-resource.ts'
import { introspectionRoutes } from '../introspection/routes.ts'
import { revocationFeedRoutes } from '../revocation/feed-routes.ts'
import { revocationRoutes } from '../revocation/routes.ts'
import { serviceKeySetRoute } from '../services/key-set-route.ts'
import { tokenRoutes } from '../token-endpoint/routes.ts'
import { createTokenLimits, noTokenLimits, type TokenLimitSettings } from '../token-endpoint/token-limits.ts'
import { bundleRoute } from '../trust-bundles/bundle-route.ts'
import { bundlesOf } from '../trust-bundles/bundles-of.ts'
import { discoveryRoutes, endpointUrl } from './discovery.ts'
import { healthRoutes } from './health.ts'
import { speakOAuth } from './oauth.ts'
import { answerFrameworkError, answerWithProblems } from './problem.ts'

export interface AppOptions {
  authority: Authority
  limiter: RateLimiter
  /** Undefined: no limits */
  tokenLimits: TokenLimitSettings | undefined
  trustedProxies: readonly string[]
  logger: FastifyBaseLogger
  tls?: { key: string; cert: string }
  /** Where client certificates are taken */
  mtls?: MtlsOptions | undefined
  /** For development: clients may publish their keys over plain http on this machine */
  allowLoopbackJwksUri?: boolean
  /** How clients' `jwks_uri` are fetched; by default with no exception from the guards */
  remoteKeyFetch?: GuardedFetchOptions
  /** True from when the server is to end: not ready any more, while it still answers */
  isDraining?: () => boolean
  /** Told of everything that an OAuth endpoint has answered, for metrics */
  onOutcome?: (endpoint: OAuthEndpointName, outcome: string) => void
  /** Refused assertions are answered at whole multiples of this, so that their time tells nothing. Default 500 */
  assertionRefusalMilliseconds?: number
  /** How often a silent revocation stream shows that it is alive */
  heartbeatMilliseconds?: number
  /** Default 256 */
  maximumStreams?: number
  /** How long a request may take to arrive, in milliseconds */
  arrival?: Arrival
}

export interface MtlsOptions {
  /** Where clients come with a certificate, such as https://mtls.example.com; undefined where only a proxy takes them */
  baseUrl?: (() => string | undefined) | undefined
  /** The CAs of plain client certificates, beside those of the trust domain */
  clientAuthorities?: (() => readonly Certificate[]) | undefined
  /** Whose header is believed */
  proxies?: CertificateProxyOptions | undefined
}

interface Arrival {
  headers: number
  whole: number
  /** How often connections are looked at: Node itself does so only every 30 s */
  look: number
}

/** Whoever sends his request byte by byte holds a socket no longer than this. */
const defaultArrival: Arrival = { headers: 15_000, whole: 30_000, look: 5_000 }

export type OAuthEndpointName = 'token' | 'introspection' | 'revocation' | 'revocation_feed'

/** The server's whole HTTP side, not yet listening. */
export async function buildApp(options: AppOptions): Promise<FastifyInstance> {
  const { authority, arrival = defaultArrival } = options
  const connections = { headersTimeout: arrival.headers, connectionsCheckingInterval: arrival.look }
  const app = Fastify({
    loggerInstance: options.logger,
    // URLs may hold what a confused client put there; what happened is in the audit log.
    logController: new Fastify.LogController({ disableRequestLogging: true }),
    bodyLimit: 1024 * 1024,
    requestTimeout: arrival.whole,
    keepAliveTimeout: 65_000,
    forceCloseConnections: 'idle',
    // A request that comes in on a connection kept alive is in flight too: it is answered, and the connection closed.
    return503OnClosing: false,
    exposeHeadRoutes: false,
    // One logger for all: what a request has to tell is told with its event, and a logger a request costs too much.
    childLoggerFactory: (logger) => logger,
    frameworkErrors: answerFrameworkError,
    ...(options.tls ? { https: { ...options.tls, minVersion: 'TLSv1.2', ...connections } } : { http: connections }),
    // An audience of 256 characters, percent-encoded, stands in paths of the admin API.
    routerOptions: { maxParamLength: 1024 },
  }) as unknown as FastifyInstance
  let closing = false
  app.addHook('preClose', async () => {
    closing = true
    endIdleConnections(app)
  })
  answerWithProblems(app)
  discoveryRoutes(app, authority, options.mtls)
  serviceKeySetRoute(app, authority)
  bundleRoute(app, authority)
  healthRoutes(app, authority, () => closing || options.isDraining?.() === true)

  const clientAddress = createClientAddress({ trustedProxies: options.trustedProxies })
  const addressOf = (request: FastifyRequest) => clientAddress(request.raw)
  const { mtls } = options
  const clientAuth = clientAuthContext(authority, remoteKeyFetchOf(options), mtls)
  const proxy =
    mtls?.proxies &&
    createCertificateProxy(mtls.proxies, clientAuth.bundles, (serialNumber) =>
      authority.revocations.isRevokedSerial(serialNumber),
    )
  const certificateOf = createFindPeerCertificate(proxy, () => authority.now() * 1000)
  const refusals = new RefusalCounts((fact) => authority.audit.record(fact))
  app.addHook('onClose', () => refusals.flush())
  const limits = options.tokenLimits
    ? createTokenLimits(options.limiter, options.tokenLimits, (refusal) => refusals.note(refusal))
    : noTokenLimits
  const { store, revocations, audit } = authority
  const verifications = new VerificationLog(audit)
  const context = { ...clientAuth, store, revocations, audit, verifications, limits, authority }
  const counting = (endpoint: OAuthEndpointName) => (outcome: string) => options.onOutcome?.(endpoint, outcome)
  await app.register(async (oauth) => {
    const { assertionRefusalMilliseconds } = options
    speakOAuth(oauth)
    tokenRoutes(oauth, {
      context: { ...context, signerFor: (algorithm) => authority.keyRing.signerFor(algorithm) },
      addressOf,
      certificateOf,
      onOutcome: counting('token'),
      assertionRefusalMilliseconds,
    })
    introspectionRoutes(oauth, {
      context,
      addressOf,
      certificateOf,
      onOutcome: counting('introspection'),
      assertionRefusalMilliseconds,
    })
    revocationRoutes(oauth, {
      context,
      addressOf,
      certificateOf,
      onOutcome: counting('revocation'),
      assertionRefusalMilliseconds,
    })
    const { heartbeatMilliseconds, maximumStreams } = options
    const onOutcome = counting('revocation_feed')
    revocationFeedRoutes(oauth, { context, addressOf, certificateOf, onOutcome, heartbeatMilliseconds, maximumStreams })
  })
  const { allowLoopbackJwksUri } = options
  await app.register(adminApi, {
    prefix: '/api/v1',
    authority,
    addressOf,
    limits,
    allowLoopbackJwksUri,
    certificateProxy: mtls?.proxies && { bundles: clientAuth.bundles, ...mtls.proxies },
  })
  return app
}

/** A connection that becomes idle after the server began to close would be kept alive, and hold up the end. */
function endIdleConnections({ server }: FastifyInstance): void {
  const timer = setInterval(() => server.closeIdleConnections(), 50)
  server.once('close', () => clearInterval(timer))
  timer.unref()
}

/** What is let in for development is let out too, and nothing else. */
function remoteKeyFetchOf({ remoteKeyFetch = {}, allowLoopbackJwksUri }: AppOptions) {
  const onThisMachine = { ...remoteKeyFetch, allowHttp: true, allowPrivateAddresses: true }
  return (url: string) => (allowLoopbackJwksUri && isLoopbackHttp(new URL(url)) ? onThisMachine : remoteKeyFetch)
}

function clientAuthContext(
  authority: Authority,
  remoteKeyFetch: (url: string) => GuardedFetchOptions,
  mtls: MtlsOptions | undefined,
): ClientAuthContext {
  const { workloadIdentity: identity } = authority
  return {
    issuer: authority.issuer,
    tokenEndpoint: endpointUrl(authority.issuer, '/oauth/token'),
    clientSecretKey: authority.masterKey.clientSecretKey,
    now: authority.now,
    findClient: (id) => authority.clients.find(id),
    remoteKeys: createRemoteKeys(remoteKeyFetch),
    assertions: authority.assertions,
    bundles: identity && bundlesOf(identity),
    clientAuthorities: () => [...(mtls?.clientAuthorities?.() ?? []), ...(identity?.ca.bundle().x509Authorities ?? [])],
    revocations: authority.revocations,
    onCredentialUsed: (kind, id) => authority.credentialUse.note(kind, id),
  }
}
