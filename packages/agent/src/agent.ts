import { SecretDiscoveryServiceService } from '@countersign/spiffe/protocol/envoy-secret'
import { HealthService } from '@countersign/spiffe/protocol/health'
import { AgentService } from '@countersign/spiffe/protocol/spire-agent'
import { SpiffeWorkloadAPIService } from '@countersign/spiffe/protocol/workload-api'
import { Server } from '@grpc/grpc-js'
import { serveAdminSocket } from './admin-socket/admin-socket.ts'
import { explainProcess } from './admin-socket/explain.ts'
import { AgentError, reasonOf } from './agent-error.ts'
import { expiresAt } from './agent-identity/agent-identity.ts'
import { claimDataDirectory } from './agent-identity/claim-data-directory.ts'
import { NodeIdentity } from './agent-identity/node-identity.ts'
import { identityStoreIn } from './agent-identity/stored-identity.ts'
import { silentLog } from './agent-log.ts'
import { type AgentOptions, defaultSocket } from './agent-options.ts'
import { createBundleStore } from './bundles/bundle-store.ts'
import { type Clock, nowSeconds, pause, systemClock } from './clock.ts'
import { createEntryStore } from './entries/entry-store.ts'
import { nodeAttestorFor } from './node-attestation/node-attestors.ts'
import { createCallPeers } from './peer/peer-of-call.ts'
import { mayLookAtPrograms } from './process/capabilities.ts'
import { createProcessWatch } from './process/process-watch.ts'
import { quietLog } from './quiet-log.ts'
import { secretDiscovery } from './sds/secret-discovery.ts'
import { ServerLink } from './server-connection/server-link.ts'
import { limitCalls } from './sockets/call-limits.ts'
import { serveWorkloadSocket } from './sockets/workload-socket.ts'
import { issueX509Svids } from './svids/issue-x509-svids.ts'
import { JwtSvidCache } from './svids/jwt-svid-cache.ts'
import { X509SvidCache } from './svids/x509-svid-cache.ts'
import { Synchronizer } from './synchronization/synchronizer.ts'
import { healthService } from './workload-api/health.ts'
import { workloadApi } from './workload-api/workload-api.ts'
import { createDeliveredSvids } from './workloads/delivered-svids.ts'
import { Holders } from './workloads/holders.ts'
import { Reports } from './workloads/reports.ts'
import { WorkloadIdentities } from './workloads/workload-identities.ts'

/** What `GET /v1/status` of the admin socket shows. */
export interface AgentStatus {
  readonly trust_domain: string
  readonly spiffe_id: string | null
  /** Of the agent's own SVID, seconds since the epoch. */
  readonly expires_at: number | null
  readonly server: string
  /** Seconds since the epoch. */
  readonly last_sync: number | null
  readonly entries: number
  readonly cached_svids: number
  /** Processes that hold an SVID. */
  readonly workloads: number
}

export interface Agent {
  /** Opens the sockets and attests this node. Rejects when that cannot work; until the server answers it waits. */
  start(): Promise<void>
  /** Resolves when workloads are served for the first time. */
  readonly ready: Promise<void>
  /** Resolves when the server removed this node and the agent has stopped by itself. */
  readonly removed: Promise<AgentError>
  status(): AgentStatus
  stop(): Promise<void>
}

/** Room for a JWT-SVID to validate, or as many audiences as there may be. */
const largestRequest = 96 * 1024

/** Open at once on the workloads' socket: half of them by one user. */
const mostCalls = 4_000

/** What was not told yet is told before the agent ends, if the server is there. */
const lastReportMilliseconds = 2_000

/** How long a workload's first question waits for the agent's first synchronization. */
const firstSyncPatienceMilliseconds = 10_000

/**
 * The agent of one node: proves which node this is, keeps the SVIDs of its workloads fresh, and serves each workload the
 * identities whose entries it meets.
 * @throws AgentError `invalid_configuration`
 */
export function createAgent(options: AgentOptions): Agent {
  const clock = options.clock ?? systemClock
  const random = options.random ?? Math.random
  const log = options.log ?? silentLog
  const workloadLog = quietLog(log, clock)
  const { trustDomain, server: address } = options
  const removed = Promise.withResolvers<AgentError>()

  const bundles = createBundleStore(trustDomain)
  const entries = createEntryStore()
  const link = new ServerLink({ address, trustDomain, clock })
  const connection = () => link.connection()
  const watch = options.processWatch ?? createProcessWatch()
  const delivered = createDeliveredSvids()
  const reports = new Reports({ connection, clock, random, log })
  const jwtSvids = new JwtSvidCache({ connection, isReplaced: (over) => identity.isReplaced(over), clock, random })
  const svids = new X509SvidCache({
    issue: (wanted, onIssued) => issueX509Svids(connection(), wanted, onIssued),
    clock,
    random,
    log,
    prefetch: options.prefetch ?? 1_000,
    onBack: () => synchronizer.hurry(),
  })
  const holders = new Holders({
    watch,
    clock,
    graceMilliseconds: (options.graceSeconds ?? 30) * 1_000,
    onEnded: (entryId) => endIdentity(entryId, 'the last workload that held it has ended'),
  })
  const identity = new NodeIdentity({
    address,
    trustDomain,
    bootstrap: options.bootstrap,
    ...(options.node && { attestor: nodeAttestorFor(options.node) }),
    ...(options.dataDirectory && { store: identityStoreIn(options.dataDirectory, trustDomain, log) }),
    link,
    bundles,
    clock,
    random,
    log,
    onRemoved: (error) => {
      log.error({ reason: error.message }, 'this node was removed; the agent stops')
      void stop().then(() => removed.resolve(error))
    },
  })
  const synchronizer = new Synchronizer({
    connection,
    trustDomain,
    entries,
    bundles,
    intervalMilliseconds: (options.syncIntervalSeconds ?? 5) * 1_000,
    clock,
    random,
    log,
    heed: (error, over) => identity.heed(error, over),
    onBack: () => svids.hurry(),
  })
  const identities = new WorkloadIdentities({
    attestors: options.attestors,
    entries,
    svids,
    bundles,
    holders,
    delivered,
    reports,
    log,
    synchronized: () => withinPatience(synchronizer.first, clock),
  })

  entries.onChange((gone) => {
    for (const { id } of gone) {
      holders.forget(id)
      endIdentity(id, 'its registration entry is no longer there for this node')
    }
    svids.setEntries(entries.all())
  })
  bundles.onChange(() => {
    identity.bundleChanged()
    const own = bundles.own()
    if (own === undefined) return
    svids.replaceTainted(own.taintedAuthorities)
    jwtSvids.dropKeys(own.taintedKeys)
  })

  function endIdentity(entryId: string, reason: string): void {
    svids.drop(entryId)
    jwtSvids.drop(entryId)
    const held = delivered.take(entryId, nowSeconds(clock))
    if (held.expiresAt === 0) return
    log.info({ entry_id: entryId, reason, svids: held.serialNumbers.length + held.jwtIds.length }, 'an identity ended')
    reports.ended(entryId, held, reason)
  }

  const peers = createCallPeers()
  const grpc = new Server({
    'grpc.max_receive_message_length': largestRequest,
    'grpc.max_concurrent_streams': 100,
    interceptors: [limitCalls(mostCalls, (call) => peers.of(call).uid)],
  })
  grpc.addService(
    SpiffeWorkloadAPIService,
    workloadApi({ identities, jwtSvids, bundles, trustDomain, peers, clock, log: workloadLog }),
  )
  grpc.addService(SecretDiscoveryServiceService, secretDiscovery({ identities, peers, clock, log: workloadLog }))
  const isServing = () => synchronizer.lastSuccess !== undefined && identity.isValid
  grpc.addService(
    HealthService,
    healthService(isServing, (listener) => entries.onChange(listener)),
  )

  const closers: (() => Promise<void>)[] = []

  async function start(): Promise<void> {
    try {
      // The sockets first: when they cannot be had, no join token is spent.
      await openSockets()
      sayWhatCannotBeSeen()
      await identity.start()
    } catch (error) {
      await stop()
      throw error
    }
    if (stopping) return
    const agentVersion = `countersign ${options.version ?? 'development'}`
    connection()
      .call(AgentService.postStatus, { currentBundleSerial: 0, agentVersion })
      .catch((error) => log.info({ reason: reasonOf(error) }, "the server did not take note of this agent's version"))
    void synchronizer.run()
  }

  async function openSockets(): Promise<void> {
    const anyWay = options.trustFoldersAboveSockets
    if (options.dataDirectory) closers.push(await claimDataDirectory(options.dataDirectory, log))
    closers.push(await serveWorkloadSocket(grpc, options.socket ?? defaultSocket, { peers, log: workloadLog, anyWay }))
    if (options.adminSocket === undefined) return
    const explain = (pid: number) => explainProcess(pid, { identities, svids })
    closers.push(await serveAdminSocket(options.adminSocket, { status, explain, anyWay }))
  }

  function sayWhatCannotBeSeen(): void {
    for (const { name, lacks } of options.attestors) {
      const reason = lacks?.()
      if (reason !== undefined) log.warn({ attestor: name, reason }, 'no workload can have selectors of this attestor')
    }
    if (mayLookAtPrograms()) return
    log.warn(
      { cure: 'give the agent CAP_SYS_PTRACE' },
      'this agent cannot look at the programs of other users: their workloads have no unix:path and no unix:sha256',
    )
  }

  let stopping: Promise<void> | undefined
  function stop(): Promise<void> {
    stopping ??= (async () => {
      synchronizer.stop()
      identity.stop()
      identities.stop()
      for (const close of closers) await close()
      await Promise.race([reports.flush(), pause(systemClock, lastReportMilliseconds)])
      reports.stop()
      svids.stop()
      holders.close()
      watch.close()
      link.close()
    })()
    return stopping
  }

  return {
    start,
    stop,
    ready: synchronizer.first,
    removed: removed.promise,
    status,
  }

  function status(): AgentStatus {
    return {
      trust_domain: trustDomain,
      spiffe_id: identity.current?.id ?? null,
      expires_at: identity.current ? expiresAt(identity.current) : null,
      server: address,
      last_sync: synchronizer.lastSuccess === undefined ? null : Math.floor(synchronizer.lastSuccess / 1000),
      entries: entries.all().size,
      cached_svids: svids.size,
      workloads: holders.processes,
    }
  }
}

async function withinPatience(first: Promise<void>, clock: Clock): Promise<void> {
  const waited = new AbortController()
  const tooLate = pause(clock, firstSyncPatienceMilliseconds, waited.signal).then(() => {
    if (!waited.signal.aborted) throw new AgentError('unavailable', 'the agent has not heard from the server yet')
  })
  try {
    await Promise.race([first, tooLate])
  } finally {
    waited.abort()
  }
}
