import type { Duplex } from 'node:stream'
import type { RateLimiter } from '@countersign/limits'
import { type BundleSet, isAgentId, parseCertificate, toPem, verifyX509Svid } from '@countersign/spiffe'
import { WorkloadsService } from '@countersign/spiffe/protocol/countersign-agent'
import { HealthService } from '@countersign/spiffe/protocol/health'
import { AgentService } from '@countersign/spiffe/protocol/spire-agent'
import { BundleService } from '@countersign/spiffe/protocol/spire-bundle'
import { SVIDService } from '@countersign/spiffe/protocol/spire-svid'
import { type ChannelOptions, Server, ServerCredentials, type ServerOptions } from '@grpc/grpc-js'
import { RefusalCounts } from '../audit/refusal-counts.ts'
import type { Authority } from '../authority.ts'
import { createOwnSvid } from '../certificate-authorities/own-svid.ts'
import type { TrustDomainAuthority } from '../certificate-authorities/trust-domain-authority.ts'
import { agentService } from './agent-service.ts'
import { bundleService } from './bundle-service.ts'
import type { NodeApiContext, SvidLifetimes } from './context.ts'
import { entryDefinition, entryService } from './entry-service.ts'
import { healthService } from './health-service.ts'
import type { NodePeer } from './node-connection.ts'
import { createNodeLimits, type NodeLimitSettings, noNodeLimits } from './node-limits.ts'
import { type ConnectionBounds, createNodeListener } from './node-listener.ts'
import { limitOpenCalls } from './open-calls.ts'
import { svidService } from './svid-service.ts'
import { workloadsService } from './workloads-service.ts'

export interface NodeApiOptions {
  authority: Authority
  limiter: RateLimiter
  /** Undefined: no limits */
  limits: NodeLimitSettings | undefined
  lifetimes?: Partial<SvidLifetimes>
  /** The `iss` of JWT-SVIDs; none without it */
  jwtIssuer?: string | undefined
  host: string
  /** 0 for any that is free */
  port: number
  /** How long an agent keeps a connection; default 180,000 */
  connectionMilliseconds?: number
  bounds?: Partial<ConnectionBounds>
  onError: (what: string, error: unknown) => void
}

export interface NodeApi {
  readonly address: string
  readonly port: number
  /** How many are open just now */
  readonly connections: number
  /** How many have shaken hands since the start */
  readonly accepted: number
  close(): Promise<void>
}

const defaultLifetimes: SvidLifetimes = { x509Seconds: 3600, jwtSeconds: 300, agentSeconds: 3600 }
const graceMilliseconds = 10_000
/** Of one agent, each with a message of 2 MiB at the most; honest ones have a dozen. */
const mostOpenCalls = 100

/**
 * The API that agents speak, SPIRE's and ours, on a port of its own: gRPC over TLS, with our own SVID.
 * @throws CaUnavailable, or what listening failed with
 */
export async function startNodeApi(options: NodeApiOptions): Promise<NodeApi> {
  const { authority, onError } = options
  const identity = authority.workloadIdentity
  if (!identity) throw new Error('the authority has no trust domain')
  const { trustDomain, ca } = identity
  const lifetimes = { ...defaultLifetimes, ...options.lifetimes }
  const refusals = new RefusalCounts((fact) => authority.audit.record(fact))
  const context: NodeApiContext = {
    ...identity,
    entries: identity.entries.index,
    lifetimes,
    jwtIssuer: options.jwtIssuer,
    limits: options.limits
      ? createNodeLimits(options.limiter, options.limits, (refusal) => refusals.note(refusal))
      : noNodeLimits,
    audit: authority.audit,
    store: authority.store,
    now: authority.now,
    rules: {
      connectionOf: (name) => listener.connectionOf(name),
      onError: (method, error) => onError(`answering ${method}`, error),
    },
  }
  const ownSvid = await createOwnSvid({
    trustDomain,
    ca,
    issuanceIds: identity.issuanceIds,
    lifetimeSeconds: lifetimes.agentSeconds,
    audit: authority.audit,
    now: authority.now,
  })
  const agents = createRpcServer(context, {
    ...agentBounds(options.connectionMilliseconds ?? 180_000),
    interceptors: [limitOpenCalls(mostOpenCalls, context.rules.connectionOf)],
  })
  const strangers = createRpcServer(context, strangerBounds)
  const listener = createNodeListener({
    identity: () => ({ ...ownSvid.current(), ca: ca.bundle().x509Authorities.map(({ der }) => toPem(der)) }),
    authenticate: (chain) =>
      authenticate(chain, { get: (name) => (name === trustDomain ? ca.bundle() : undefined) }, authority.now()),
    onConnection: (socket, { peer }) => (peer?.isAgent ? agents : strangers).inject(socket),
    ...(options.bounds && { bounds: options.bounds }),
  })
  const stopRenewing = ownSvid.follow(
    () => listener.renewIdentity(),
    (error) => onError("renewing the server's own SVID", error),
  )
  let trusted = authoritiesOf(ca)
  const stopFollowing = ca.onChange(() => {
    listener.renewIdentity()
    const before = trusted
    trusted = authoritiesOf(ca)
    // What came beside the others takes nobody's trust away.
    if (before.some((authority) => !trusted.includes(authority))) void listener.authenticateAgain()
  })
  try {
    const { address, port } = await listener.listen(options.host, options.port)
    return {
      address,
      port,
      get connections() {
        return listener.size
      },
      get accepted() {
        return listener.accepted
      },
      close,
    }
  } catch (error) {
    await close()
    throw error
  }

  async function close(): Promise<void> {
    stopRenewing()
    stopFollowing()
    for (const rpc of [agents, strangers]) rpc.drain(graceMilliseconds)
    await listener.stopListening()
    await listener.close()
    await refusals.flush()
  }
}

/**
 * By the bundle of our own trust domain alone, and by SPIFFE's rules for a leaf.
 * @throws SpiffeError
 */
function authenticate(chain: readonly Buffer[], bundles: BundleSet, now: number): NodePeer {
  const certificates = chain.map((der) => parseCertificate(der))
  const [leaf] = certificates
  if (!leaf) throw new Error('there is no certificate')
  const id = verifyX509Svid(certificates, bundles, now)
  return { id, chain: certificates, leaf, isAgent: isAgentId(id) }
}

function authoritiesOf(ca: TrustDomainAuthority): readonly string[] {
  return ca.bundle().x509Authorities.map(({ der }) => der.toString('base64'))
}

/** An agent asks for up to 500 certificates at once; a request of the largest key that we sign has 2 KB. */
function agentBounds(connectionMilliseconds: number): ChannelOptions {
  return {
    'grpc.max_connection_age_ms': connectionMilliseconds,
    'grpc.max_connection_age_grace_ms': 30_000,
    'grpc.max_connection_idle_ms': 300_000,
    'grpc.max_concurrent_streams': 100,
    'grpc.max_receive_message_length': 2 * 1024 * 1024,
    'grpc.keepalive_time_ms': 60_000,
    'grpc.keepalive_timeout_ms': 20_000,
  }
}

/** Who is no agent gets little time and memory. */
const strangerBounds: ChannelOptions = {
  'grpc.max_connection_age_ms': 60_000,
  'grpc.max_connection_age_grace_ms': 30_000,
  'grpc.max_connection_idle_ms': 15_000,
  'grpc.max_concurrent_streams': 4,
  'grpc.max_receive_message_length': 64 * 1024,
}

function createRpcServer(context: NodeApiContext, bounds: ServerOptions) {
  const server = new Server({ ...bounds, 'grpc.enable_channelz': 0 })
  server.addService(AgentService, agentService(context))
  server.addService(BundleService, bundleService(context))
  server.addService(entryDefinition, entryService(context))
  server.addService(SVIDService, svidService(context))
  server.addService(WorkloadsService, workloadsService(context))
  server.addService(HealthService, healthService(context))
  // The socket has shaken hands already: to grpc-js it is a plain one.
  const injector = server.createConnectionInjector(ServerCredentials.createInsecure())
  return {
    inject: (socket: Duplex) => injector.injectConnection(socket),
    /** Ends each connection when the calls under way on it have ended. */
    drain(milliseconds: number): void {
      injector.drain(milliseconds)
    },
  }
}
