import { existsSync } from 'node:fs'
import type { Server as HttpsServer } from 'node:https'
import { Server as NetServer } from 'node:net'
import { setImmediate as nextTurn, setTimeout } from 'node:timers/promises'
import { createMemoryRateLimiter, type RateLimiter } from '@countersign/limits'
import Fastify, { type FastifyInstance } from 'fastify'
import pino, { type Logger } from 'pino'
import { ensureAdminClient } from '../admin/ensure-admin-client.ts'
import { type Authority, openAuthority } from '../authority.ts'
import type { Config } from '../config/config-schema.ts'
import { loadConfig } from '../config/load-config.ts'
import { variableName } from '../config/setting-paths.ts'
import { buildApp } from '../http/app.ts'
import { createMetrics, metricsRoute } from '../http/metrics.ts'
import { answerWithProblems } from '../http/problem.ts'
import { followTls, readTls } from '../http/tls.ts'
import type { NodeApi } from '../node-api/node-api.ts'
import { connectRedis } from '../redis/connect-redis.ts'
import { createMasterKey } from '../sealing/master-key.ts'
import { defaultTokenLimits, type TokenLimitSettings } from '../token-endpoint/token-limits.ts'
import { startBundleEndpoint } from '../trust-bundles/bundle-endpoint.ts'
import { giveBackStartMemory } from './give-back-start-memory.ts'
import { listenForCertificates, mtlsOptions } from './listen-mtls.ts'
import { workloadIdentitySettings } from './workload-identity-settings.ts'

export interface RunningServer {
  /** Where it listens, such as http://0.0.0.0:8080 */
  url: string
  /** Where clients come with a certificate; undefined where none are asked for */
  mtlsPort: number | undefined
  /** Where agents are served; undefined without a trust domain */
  nodeApi: { address: string; port: number } | undefined
  authority: Authority
  close(): Promise<void>
}

const defaultFile = 'countersign.yaml'

/** Long enough for a request that is on its way: its answer tells a busy client to leave the connection. */
const partingMilliseconds = 100
/** So often at most it is waited for, while requests still come. */
const mostPartings = 20

/**
 * `countersign server`: runs until it is told to stop, then finishes what is in flight.
 * @throws ConfigError, StoreError: the program did not start
 */
export async function runServer(options: { config?: string } = {}): Promise<RunningServer> {
  const file = options.config ?? process.env.COUNTERSIGN_CONFIG ?? (existsSync(defaultFile) ? defaultFile : undefined)
  const config = loadConfig({ file, environment: process.env })
  const logger = pino({ level: config.log_level, base: undefined, redact: ['req.headers.authorization'] })
  const server = await startServer(config, logger)
  logger.info({ url: server.url, issuer: config.issuer }, 'countersign is ready')
  return server
}

/**
 * Starts what the configuration describes.
 * @param extend adds routes of a program's own before the server listens
 */
export async function startServer(
  config: Config,
  logger: Logger,
  extend?: (app: FastifyInstance, authority: Authority) => Promise<void>,
): Promise<RunningServer> {
  warnOfOpenDoors(config, logger)
  const tls = config.tls && { certFile: config.tls.cert_file, keyFile: config.tls.key_file }
  const certificate = tls && readTls(tls)
  const closers: (() => unknown)[] = []
  let draining = false
  let listening: FastifyInstance['server'] | undefined
  const closeAll = async () => {
    for (const closer of closers.splice(0).reverse()) await closer()
  }
  const close = async () => {
    draining = true
    let lastRequest = 0
    listening?.prependListener('request', (_request, response) => {
      lastRequest = performance.now()
      // Who keeps a connection alive leaves it by himself, rather than find it closed under his next request.
      response.setHeader('connection', 'close')
    })
    if (config.shutdown_delay > 0) {
      logger.info(`not ready any more; closing in ${config.shutdown_delay} s`)
      await setTimeout(config.shutdown_delay * 1000)
    }
    if (listening) {
      // An HTTP server's own close would cut connections on which a request is on its way.
      NetServer.prototype.close.call(listening)
      for (let windows = 0; windows < mostPartings; windows += 1) {
        const since = performance.now()
        await setTimeout(partingMilliseconds)
        // A process that was held up finds its timers due before what has arrived meanwhile.
        await nextTurn()
        if (lastRequest < since) break
      }
    }
    await closeAll()
  }
  try {
    const redis = config.redis_url
      ? await connectRedis(config.redis_url, (error) => logger.error({ err: error }, 'Redis is away'))
      : undefined
    if (redis) closers.push(redis.close)
    const authority = await openAuthority({
      issuer: config.issuer,
      databaseUrl: config.database_url,
      masterKey: createMasterKey(config.master_key),
      replica: config.replica,
      redis: redis?.client,
      keyRotationSeconds: config.keys.rotation,
      keyPublishAheadSeconds: config.keys.publish_ahead,
      ...(config.spiffe && { spiffe: workloadIdentitySettings(config.spiffe, logger) }),
      onError: reportCalmly(logger),
    })
    closers.push(() => authority.close())
    const limiter = redis?.limiter ?? createMemoryRateLimiter()
    const metrics = createMetrics(authority)
    let mtlsPort: number | undefined
    const app = await buildApp({
      authority,
      limiter,
      tokenLimits: tokenLimits(config),
      trustedProxies: config.trusted_proxies,
      logger,
      tls: certificate,
      mtls: mtlsOptions(config, () => mtlsPort, logger),
      isDraining: () => draining,
      onOutcome: metrics.oauthOutcome,
    })
    closers.push(() => app.close())
    if (config.admin)
      await ensureAdminClient(authority, { clientId: config.admin.client_id, clientSecret: config.admin.client_secret })
    if (config.metrics?.token) metricsRoute(app, metrics, config.metrics.token)
    await extend?.(app, authority)
    await listen(app, config.host, config.port, 'port')
    listening = app.server
    if (tls) {
      closers.push(
        followTls(
          tls,
          (pair) => {
            ;(app.server as unknown as HttpsServer).setSecureContext({ ...pair, minVersion: 'TLSv1.2' })
            logger.info('TLS certificate reloaded')
          },
          (error) => logger.error(`the new TLS certificate is not used, the old one stays: ${error.message}`),
        ),
      )
    }
    if (config.mtls?.port !== undefined) {
      const listening = listenForCertificates(app, authority, config, logger)
      const mtls = await saying(listening, config.mtls.port, 'mtls.port')
      mtlsPort = mtls.listener.port
      logger.info({ port: mtlsPort }, 'client certificates are asked for')
      closers.push(() => mtls.close())
    }
    const { spiffe } = config
    const nodeApi = spiffe && (await serveNodes({ ...config, spiffe }, authority, limiter, logger))
    if (nodeApi) closers.push(() => nodeApi.close())
    if (config.spiffe?.bundle_endpoint)
      closers.push(await listenForBundles(config.spiffe.bundle_endpoint, authority, logger))
    if (config.metrics?.port !== undefined) closers.push(await listenForMetrics(config.metrics, metrics, logger))
    closers.push(giveBackStartMemory())
    return { url: listeningUrl(app, tls !== undefined), mtlsPort, nodeApi, authority, close }
  } catch (error) {
    await closeAll()
    throw error
  }
}

/** gRPC is loaded by those only who have agents to serve. */
async function serveNodes(
  config: Config & { spiffe: NonNullable<Config['spiffe']> },
  authority: Authority,
  limiter: RateLimiter,
  logger: Logger,
): Promise<NodeApi> {
  const { listenForNodes } = await import('./listen-for-nodes.ts')
  const listening = listenForNodes(config, authority, limiter, reportCalmly(logger))
  const nodeApi = await saying(listening, config.spiffe.node_port, 'spiffe.node_port')
  logger.info({ address: nodeApi.address, port: nodeApi.port }, 'agents are served')
  return nodeApi
}

async function listenForBundles(
  { host, port }: { host: string; port: number },
  authority: Authority,
  logger: Logger,
): Promise<() => Promise<void>> {
  const starting = startBundleEndpoint({ authority, host, port, onError: reportCalmly(logger) })
  const endpoint = await saying(starting, port, 'spiffe.bundle_endpoint.port')
  logger.info({ address: host, port }, 'the trust bundle is served by SPIFFE ID')
  return () => endpoint.close()
}

async function listenForMetrics(
  { host, port }: { host: string; port?: number },
  metrics: ReturnType<typeof createMetrics>,
  logger: Logger,
): Promise<() => Promise<void>> {
  const app = Fastify({
    loggerInstance: logger,
    logController: new Fastify.LogController({ disableRequestLogging: true }),
  }) as unknown as FastifyInstance
  answerWithProblems(app)
  metricsRoute(app, metrics)
  await listen(app, host, port ?? 0, 'metrics.port')
  return () => app.close()
}

async function listen(app: FastifyInstance, host: string, port: number, setting: string): Promise<void> {
  await saying(app.listen({ host, port }), port, setting)
}

/** Why it cannot listen, with the setting that mends it. */
async function saying<Result>(listening: Promise<Result>, port: number, setting: string): Promise<Result> {
  try {
    return await listening
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    const sentences: Record<string, string> = {
      EADDRINUSE: `port ${port} is busy; end what listens there, or choose another one as`,
      EACCES: `this user may not listen on port ${port}; choose one above 1023 as`,
    }
    const sentence = code === undefined ? undefined : sentences[code]
    if (sentence === undefined) throw error
    const message = `${sentence} ${setting} (${variableName(setting.split('.'))})`
    throw Object.assign(new Error(message, { cause: error }), { code })
  }
}

function tokenLimits({ rate_limits: limits }: Config): TokenLimitSettings | undefined {
  if (limits === 'off') return undefined
  const chosen = (set: { quota: number; window: number } | undefined, otherwise: TokenLimitSettings['perAddress']) =>
    set ? { name: otherwise.name, quota: set.quota, windowSeconds: set.window } : otherwise
  return {
    perAddress: chosen(limits?.per_address, defaultTokenLimits.perAddress),
    perClient: chosen(limits?.per_client, defaultTokenLimits.perClient),
    failuresPerAddress: chosen(limits?.failures_per_address, defaultTokenLimits.failuresPerAddress),
  }
}

function warnOfOpenDoors(config: Config, logger: Logger): void {
  if (config.rate_limits === 'off') logger.warn('RATE LIMITS ARE OFF: this is for load tests, never for production')
  if (config.database_url.startsWith('postgres') && !config.redis_url) {
    logger.warn('rate limits are counted by each replica for itself; set redis_url to share them')
  }
}

function listeningUrl(app: FastifyInstance, secure: boolean): string {
  const { address, port } = app.server.address() as { address: string; port: number }
  return `${secure ? 'https' : 'http'}://${address.includes(':') ? `[${address}]` : address}:${port}`
}

const repeatMilliseconds = 10_000

/** While a database is away the same thing fails several times a second: once in a while is enough to read. */
function reportCalmly(logger: Logger): (what: string, error: unknown) => void {
  const reportedAt = new Map<string, number>()
  return (what, error) => {
    const now = performance.now()
    if (now - (reportedAt.get(what) ?? -repeatMilliseconds) < repeatMilliseconds) return
    reportedAt.set(what, now)
    logger.error({ err: error }, `${what} failed`)
  }
}
