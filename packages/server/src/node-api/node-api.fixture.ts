import { createPublicKey, generateKeyPairSync, type KeyObject } from 'node:crypto'
import { createMemoryRateLimiter } from '@countersign/limits'
import {
  createCertificateRequest,
  formatPemCertificates,
  type LeafTemplate,
  newSerialNumber,
  parseCertificate,
} from '@countersign/spiffe'
import { WorkloadsClient } from '@countersign/spiffe/protocol/countersign-agent'
import { HealthClient } from '@countersign/spiffe/protocol/health'
import { Status } from '@countersign/spiffe/protocol/rpc-status'
import { AgentClient } from '@countersign/spiffe/protocol/spire-agent'
import { BundleClient } from '@countersign/spiffe/protocol/spire-bundle'
import { EntryClient } from '@countersign/spiffe/protocol/spire-entry'
import { SVIDClient } from '@countersign/spiffe/protocol/spire-svid'
import {
  PermissionDeniedDetails,
  PermissionDeniedDetails_Reason,
  type X509SVID,
} from '@countersign/spiffe/protocol/spire-types'
import {
  type CallOptions,
  type ClientDuplexStream,
  credentials,
  InterceptingCall,
  type Interceptor,
  Metadata,
  type ServiceError,
  status,
} from '@grpc/grpc-js'
import { createJoinToken } from '../nodes/manage-join-tokens.ts'
import { createEntry } from '../registration-entries/manage-entries.ts'
import { startTestServer, type TestServer, type TestServerOptions } from '../server.fixture.ts'
import { type NodeApi, type NodeApiOptions, startNodeApi } from './node-api.ts'

export const trustDomain = 'example.org'

export interface TestNodeServer {
  server: TestServer
  nodeApi: NodeApi
  address: string
  /** What went wrong on our side */
  errors: unknown[]
  joinToken(ttlSeconds?: number): Promise<string>
  entry(
    values: Partial<Parameters<typeof createEntry>[0]> & { parentId: string },
  ): Promise<{ id: string; spiffeId: string }>
  /** Another one on the same database */
  replica(settings?: TestServerOptions['settings']): Promise<TestNodeServer>
  /** PEM of the trust domain's authorities as they are now */
  roots(): Buffer
  /** A connection that ends with the server at the latest */
  connect(identity?: TestIdentity, options?: Parameters<typeof connect>[3]): TestAgent
  /** Over a connection of its own, which ends with it */
  asAgent<T>(identity: TestIdentity | undefined, use: (client: TestAgent) => Promise<T>): Promise<T>
  /** Audit events, oldest first */
  events(type?: string): Promise<Record<string, unknown>[]>
  close(): Promise<void>
}

/** A server with a trust domain, its node API on a port of its own, without limits unless told. */
export async function startTestNodeServer(
  options: TestServerOptions & { nodeApi?: Partial<NodeApiOptions>; spiffe?: object } = {},
): Promise<TestNodeServer> {
  const errors: unknown[] = []
  const clients: TestAgent[] = []
  const onError = (_what: string, error: unknown) => void errors.push(error)
  const server = await startTestServer({
    ...options,
    settings: { onError, ...options.settings, spiffe: { trustDomain, ...options.spiffe } },
  })
  const { authority } = server
  const nodeApi = await startNodeApi({
    authority,
    limiter: createMemoryRateLimiter(),
    limits: undefined,
    host: '127.0.0.1',
    port: 0,
    onError,
    ...options.nodeApi,
  })
  const address = `127.0.0.1:${nodeApi.port}`
  const roots = () => Buffer.from(formatPemCertificates(authority.workloadIdentity!.ca.bundle().x509Authorities))
  return {
    server,
    nodeApi,
    address,
    errors,
    replica: (settings) =>
      startTestNodeServer({ ...options, issuer: server.issuer, masterKey: server.masterKey, settings }),
    roots,
    connect(identity, connection) {
      const client = connect(address, roots(), identity, connection)
      clients.push(client)
      return client
    },
    async asAgent(identity, use) {
      const client = connect(address, roots(), identity)
      try {
        return await use(client)
      } finally {
        client.close()
      }
    },
    joinToken: async (ttlSeconds = 600) => (await createJoinToken({ ttlSeconds }, authority, {})).token,
    async entry(values) {
      const spiffeId = values.spiffeId ?? `spiffe://${trustDomain}/workload`
      const selectors = [{ type: 'unix', value: 'uid:1000' }]
      const row = await createEntry({ selectors, ...values, spiffeId }, trustDomain, authority, {})
      await authority.feed.catchUp()
      return { id: row.id, spiffeId }
    },
    async events(type) {
      const rows = await authority.store.database.selectFrom('audit_events').selectAll().orderBy('sequence').execute()
      return rows.map((row) => JSON.parse(row.event)).filter((event) => type === undefined || event.type === type)
    },
    async close() {
      for (const client of clients) client.close()
      await nodeApi.close()
      await server.close()
    },
  }
}

/** @param names what the request names beside the key */
export function newKey(names: { uris?: string[]; dnsNames?: string[] } = {}): { key: KeyObject; csr: Buffer } {
  const { privateKey: key } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  return { key, csr: createCertificateRequest({ key, organization: 'SPIRE', country: 'US', ...names }) }
}

export interface TestIdentity {
  key: KeyObject
  svid: X509SVID
}

/** An agent of our own making: nothing of the agent package, and only what SPIRE's protocol says. */
export interface TestAgent {
  agent: AgentClient
  bundle: BundleClient
  entry: EntryClient
  svid: SVIDClient
  workloads: WorkloadsClient
  health: HealthClient
  close(): void
}

/** @param identity undefined for somebody without a certificate */
export function connect(
  address: string,
  roots: Buffer,
  identity?: TestIdentity,
  { countersign = false, channel = {} }: { countersign?: boolean; channel?: object } = {},
): TestAgent {
  const pem = identity && {
    key: Buffer.from(identity.key.export({ type: 'pkcs8', format: 'pem' })),
    chain: Buffer.from(formatPemCertificates(identity.svid.certChain)),
  }
  const tls = credentials.createSsl(roots, pem?.key ?? null, pem?.chain ?? null, {
    checkServerIdentity: (_host, certificate) => {
      const { uris } = parseCertificate(certificate.raw)
      return uris.length === 1 && uris[0] === `spiffe://${trustDomain}/spire/server`
        ? undefined
        : new Error(`this is not the server: ${uris}`)
    },
  })
  const interceptors = countersign ? [markCountersign] : []
  const options = {
    interceptors,
    'grpc.use_local_subchannel_pool': 1,
    'grpc.ssl_target_name_override': 'localhost',
    ...channel,
  }
  const first = new AgentClient(address, tls, options)
  const rest = { ...options, channelOverride: first.getChannel() }
  return {
    agent: first,
    bundle: new BundleClient(address, tls, rest),
    entry: new EntryClient(address, tls, rest),
    svid: new SVIDClient(address, tls, rest),
    workloads: new WorkloadsClient(address, tls, rest),
    health: new HealthClient(address, tls, rest),
    close: () => first.close(),
  }
}

const markCountersign: Interceptor = (options, next) =>
  new InterceptingCall(next(options), {
    start(metadata, listener, proceed) {
      metadata.set('countersign-agent', '1')
      proceed(metadata, listener)
    },
  })

/** A unary call as a promise; rejects with grpc-js's error. */
export function ask<Request, Response>(
  method: (
    request: Request,
    metadata: Metadata,
    options: Partial<CallOptions>,
    callback: (error: ServiceError | null, response: Response) => void,
  ) => unknown,
  client: object,
  request: Request,
): Promise<Response> {
  return new Promise((resolve, reject) =>
    method.call(client, request, new Metadata(), {}, (error, response) => (error ? reject(error) : resolve(response))),
  )
}

/** Joins by a token, and resolves to what the agent has then. */
export async function attestByToken(
  server: Pick<TestNodeServer, 'address' | 'roots' | 'joinToken'>,
  token?: string,
  { key, csr } = newKey(),
): Promise<TestIdentity> {
  const joinToken = token ?? (await server.joinToken())
  const client = connect(server.address, server.roots())
  try {
    const data = { type: 'join_token', payload: Buffer.from(joinToken) }
    const call = client.agent.attestAgent()
    const answer = nextMessage(call)
    call.write({ step: { $case: 'params', value: { data, params: { csr } } } })
    const step = (await answer)?.step
    if (step?.$case !== 'result' || !step.value.svid) throw new Error('no SVID')
    call.end()
    return { key, svid: step.value.svid }
  } finally {
    client.close()
  }
}

export function agentId({ svid }: TestIdentity): string {
  return `spiffe://${svid.id?.trustDomain}${svid.id?.path}`
}

export function nextMessage<T>(
  call: Pick<ClientDuplexStream<never, T>, 'on' | 'off' | 'pause' | 'resume'>,
): Promise<T | undefined> {
  return new Promise((resolve, reject) => {
    const done = (settle: () => void) => () => {
      for (const [event, listener] of listeners) call.off(event, listener as never)
      call.pause()
      settle()
    }
    let got: T | undefined
    const listeners = [
      [
        'data',
        (message: T) => {
          got = message
          done(() => resolve(got))()
        },
      ],
      ['end', done(() => resolve(undefined))],
      ['error', (error: Error) => done(() => reject(error))()],
    ] as const
    for (const [event, listener] of listeners) call.on(event, listener as never)
    call.on('error', () => {})
    call.resume()
  })
}

/** What a call was refused with: code, message, and the reason from the details that SPIRE's agents read. */
export async function refusal(call: Promise<unknown>): Promise<{ code: string; message: string; reason?: string }> {
  try {
    await call
  } catch (error) {
    const { code, details, metadata } = error as ServiceError
    const told = metadata?.get('grpc-status-details-bin')[0] as Buffer | undefined
    const [any] = told ? Status.decode(told).details : []
    const reason = any && PermissionDeniedDetails.decode(any.value).reason
    const names = Object.entries(PermissionDeniedDetails_Reason).find(([, value]) => value === reason)
    return { code: status[code] ?? String(error), message: details, ...(names && { reason: names[0] }) }
  }
  throw new Error('it was not refused')
}

/** An identity with a certificate of the trust domain's own CA that the server never gave out. */
export function forgedIdentity(
  server: TestNodeServer,
  leaf: Partial<LeafTemplate>,
  chain: readonly Buffer[] = [],
): TestIdentity {
  const { key } = newKey()
  const now = server.server.authority.now()
  const der = server.server.authority.workloadIdentity!.ca.issuer().issue({
    publicKeyDer: createPublicKey(key).export({ type: 'spki', format: 'der' }),
    serialNumber: newSerialNumber(),
    notBefore: now - 10,
    notAfter: now + 600,
    uris: [`spiffe://${trustDomain}/spire/agent/join_token/forged`],
    ...leaf,
  })
  return identityOf(key, [der, ...chain])
}

export function identityOf(key: KeyObject, certChain: Buffer[]): TestIdentity {
  return { key, svid: { certChain, id: undefined, expiresAt: 0, hint: '' } }
}
