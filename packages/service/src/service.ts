import { type Actions, createActions } from './actions/create-actions.ts'
import { createRemoteApis } from './actions/remote-apis.ts'
import { describeService } from './description.ts'
import { readServiceDocument } from './document/read-service-document.ts'
import type { ServiceDocument } from './document/service-document.ts'
import { createGrpcCalls } from './grpc/grpc-calls.ts'
import { createGrpcTransport } from './grpc/grpc-transport.ts'
import { createPublisher } from './kafka/create-publisher.ts'
import type { KafkaConnection } from './kafka/kafka-clients.ts'
import { createKafkaTransport } from './kafka/kafka-transport.ts'
import { createLogger } from './log/create-logger.ts'
import { createServiceMetrics } from './metrics.ts'
import { openApiOf } from './openapi.ts'
import { createOperations, type ServiceCode } from './operations/create-operations.ts'
import type { OperationRuntime } from './operations/operation-runtime.ts'
import { createRestTransport } from './rest/rest-transport.ts'
import type { EventPublisher, ServiceActions, ServiceLogger } from './service-context.ts'
import { createServiceTokens, type ServiceTokenExtras } from './service-tokens.ts'
import { createSessions, type VerifySession } from './session/create-sessions.ts'
import { type Environment, readSettings, type ServiceSettings } from './settings/settings.ts'
import { createSigning } from './signing.ts'
import { startAndStop } from './start-and-stop.ts'

export interface CreateServiceOptions extends ServiceCode {
  /** Makes sessions from tokens. Default: access tokens of `SESSION_ISSUERS` made for `SESSION_AUDIENCE`. */
  readonly sessionVerifier?: VerifySession | { verify: VerifySession }
  /** Default process.env. */
  readonly environment?: Environment
  /** A pino logger fits. Default: JSON lines on stdout. */
  readonly logger?: ServiceLogger
  /** What the environment cannot say of service tokens. */
  readonly serviceTokens?: ServiceTokenExtras
  /** Base URLs of services that are not where SERVICE_URL says, by name. */
  readonly services?: Readonly<Record<string, string>>
  /** How the brokers of KAFKA_BROKERS want to be spoken to: `tls`, `sasl`, as @platformatic/kafka takes them. */
  readonly kafka?: KafkaConnection
  /** For outgoing calls. Default: the global one. */
  readonly fetch?: typeof fetch
  /** Milliseconds since the epoch. Default Date.now. */
  readonly now?: () => number
}

export interface Service {
  /** The full name: `inventory-service`. */
  readonly name: string
  /**
   * Takes calls from then on, until `stop`, SIGTERM or SIGINT. Rejects with ServiceError `cannot_start`, naming all that is
   * in the way.
   */
  start(): Promise<void>
  /** Takes no new calls, lets those that run come to their end, and lets go of everything. */
  stop(): Promise<void>
  /** The document's actions, for jobs outside of calls: `service.actions.NAME(context)`. */
  readonly actions: ServiceActions
  readonly publisher: EventPublisher
  /** `http://host:port`, once it has started. */
  readonly url: string | undefined
  /** Where gRPC is served, once it has started; undefined where no API has grpcSettings. */
  readonly grpcPort: number | undefined
}

/**
 * Makes a service from its document (an object, JSON or YAML text, or the path of a file) and its code.
 * Rejects with ServiceError: `invalid_document`, `bad_expression`, `invalid_service`, `invalid_environment`.
 */
export async function createService(document: unknown, options: CreateServiceOptions = {}): Promise<Service> {
  const described = readServiceDocument(document)
  const { environment = process.env, now = Date.now } = options
  const settings = readSettings(environment)
  const log = options.logger ?? createLogger(settings.name ?? 'service', settings.logLevel)
  const signing = createSigning({ environment, settings, services: options.services, fetch: options.fetch, log, now })
  const { name } = signing
  const metrics = createServiceMetrics()
  const connection = options.kafka ?? {}
  const publisher = createPublisher({ settings, signer: signing.signer, connection, log })
  const grpcCalls = createGrpcCalls(signing.signer)

  const actions = createActions(described.actions, {
    settings,
    timeoutMilliseconds: settings.actionSeconds * 1000,
    signedFetch: signing.signedFetch,
    unsignedFetch: options.fetch ?? fetch,
    isService: signing.isService,
    remoteApis: createRemoteApis(signing.directory),
    grpcCall: grpcCalls.call,
    publisher,
  })
  const operations = createOperations(described, options, operationRuntime(actions, publisher, log))
  const sessions = createSessions({ verifySession: verifierOf(options), settings, realm: name, log, now })
  const serviceTokens = createServiceTokens({
    operations,
    environment,
    settings,
    lists: listsOf(described),
    extras: options.serviceTokens ?? {},
    metrics,
    log,
    now,
  })
  const admission = { sessions, tenants: { multiTenant: described.serviceOptions.multiTenant, realm: name } }
  const runtime = {
    operations,
    verifier: serviceTokens.verifier,
    admission,
    settings,
    log,
    onCall: metrics.onCall(log),
  }
  const kafka = createKafkaTransport({ ...runtime, name, connection })
  const lifetime = startAndStop({
    log,
    checks: () => [...signing.faults(described.actions), ...serviceTokens.faults, ...kafka.faults],
    notices: () => [
      ...serviceTokens.notices,
      ...sessions.notices(operations),
      ...publisher.notices(described.actions),
      ...metricsNotices(settings),
    ],
    resources: [signing, sessions, serviceTokens, grpcCalls, publisher],
  })
  const grpc = createGrpcTransport({ ...runtime, ready: lifetime.ready })
  lifetime.use(grpc)
  const rest = await createRestTransport({
    ...runtime,
    realm: name,
    serviceTokens: serviceTokens.http,
    pages: {
      keys: signing.keys,
      description: () => describeService(name, operations, grpc.port ?? settings.grpcPort),
      openApi: openApiOf({ name, operations, settings, multiTenant: described.serviceOptions.multiTenant }),
      ready: lifetime.ready,
      metrics: metrics.registry,
      metricsToken: settings.metricsToken,
    },
  })
  lifetime.use(rest)
  lifetime.use(kafka)

  return {
    name,
    start: lifetime.start,
    stop: lifetime.stop,
    actions: actions.alone,
    publisher,
    get url() {
      return rest.address
    },
    get grpcPort() {
      return grpc.port
    },
  }
}

function operationRuntime(actions: Actions, publisher: EventPublisher, log: ServiceLogger): OperationRuntime {
  return {
    log,
    contextOf(_operation, { transport, admission, signal = neverGone }) {
      const { tenant } = admission
      return {
        ...admission,
        transport,
        actions: actions.forCall(admission),
        publisher: { publish: (topic, message, options) => publisher.publish(topic, message, { tenant, ...options }) },
        log,
        signal,
      }
    },
  }
}

const neverGone = new AbortController().signal

function verifierOf({ sessionVerifier }: CreateServiceOptions): VerifySession | undefined {
  if (sessionVerifier === undefined || typeof sessionVerifier === 'function') return sessionVerifier
  return (token) => sessionVerifier.verify(token)
}

/** They tell who calls, how often, and what was refused. */
function metricsNotices({ isProduction, metricsToken }: ServiceSettings): string[] {
  return isProduction && metricsToken === undefined ? ['anybody can read /metrics; set METRICS_TOKEN'] : []
}

function listsOf({ serviceOptions }: ServiceDocument) {
  return { blockList: serviceOptions.machineToMachineBlockList, allowList: serviceOptions.allowedM2MClients }
}
