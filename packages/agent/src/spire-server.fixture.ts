import { createHash, createPublicKey, randomBytes, verify, X509Certificate } from 'node:crypto'
import type { AddressInfo } from 'node:net'
import { createServer, type TLSSocket, type Server as TlsServer } from 'node:tls'
import {
  type Certificate,
  type CertificateIssuer,
  createBundle,
  formatPemCertificates,
  newSerialNumber,
  parseCertificate,
  parseCertificateRequest,
  parseSpiffeId,
  spiffeId,
  verifyX509Svid,
  type X509Svid,
} from '@countersign/spiffe'
import {
  type ReportEndedRequest,
  type ReportRefusedRequest,
  WorkloadsService,
} from '@countersign/spiffe/protocol/countersign-agent'
import { Status as RpcStatus } from '@countersign/spiffe/protocol/rpc-status'
import {
  AgentService,
  type AttestAgentRequest,
  type AttestAgentResponse,
} from '@countersign/spiffe/protocol/spire-agent'
import { BundleService } from '@countersign/spiffe/protocol/spire-bundle'
import {
  EntryService,
  type SyncAuthorizedEntriesRequest,
  type SyncAuthorizedEntriesResponse,
} from '@countersign/spiffe/protocol/spire-entry'
import { SVIDService } from '@countersign/spiffe/protocol/spire-svid'
import {
  type Bundle,
  Entry,
  PermissionDeniedDetails,
  type PermissionDeniedDetails_Reason,
} from '@countersign/spiffe/protocol/spire-types'
import { createTestAuthority, type TestAuthority } from '@countersign/spiffe/testing'
import { Metadata, Server, ServerCredentials, type ServerDuplexStream, status } from '@grpc/grpc-js'
import { freePort } from '../../server/src/free-port.fixture.ts'

/** What a call of the agent ends with instead of an answer. */
export interface Failure {
  code: status
  details: string
  reason?: PermissionDeniedDetails_Reason
  /** Of the next call alone. */
  once?: boolean
}

/** A server in this process that speaks what SPIRE's says to an agent, over real TLS, with an authority of its own. */
export interface FakeSpireServer {
  readonly address: string
  readonly trustDomain: string
  readonly authority: TestAuthority
  readonly bundlePem: string
  /** Changing an entry in place needs a higher `revisionNumber`. */
  entries: Entry[]
  readonly federated: Map<string, Bundle>
  readonly joinTokens: Set<string>
  /** Public keys (base64) of those who have spent one: as ours does, and SPIRE's does not, it answers them again. */
  readonly spentBy: Map<string, string>
  /** So many attestations are recorded and not answered. */
  answersToLose: number
  /** Public keys (base64) of all that were to be attested. */
  readonly attestedKeys: string[]
  /** CA certificates (PEM) of x509pop. */
  x509popCa: string | undefined
  /** By method name, lower camel case: thrown until taken away. */
  readonly failures: Map<string, Failure>
  /** By method name, of those that are no streams: what an answer waits for. */
  readonly held: Map<string, Promise<void>>
  /** Entry ids that are not signed for. */
  readonly unsigned: Set<string>
  readonly lifetimes: { agent: number; x509: number; jwt: number }
  pageSize: number
  taintFirstAuthority: boolean
  /** Out of the bundle, and nothing that it signed is taken; counts for new connections. */
  revokeFirstAuthority: boolean
  reportsKnown: boolean
  /** Who called what. */
  readonly calls: { method: string; agent: string | undefined; metadata: Metadata; at: number }[]
  readonly ended: ReportEndedRequest[]
  readonly refused: ReportRefusedRequest[]
  readonly batches: number[]
  count(method: string): number
  stop(): Promise<void>
  /** On the port it had. */
  start(): Promise<void>
}

export async function startFakeSpireServer(
  options: { trustDomain?: string; now?: () => number; serverPath?: string } = {},
): Promise<FakeSpireServer> {
  const trustDomain = options.trustDomain ?? 'example.test'
  const now = options.now ?? Date.now
  const nowSeconds = () => Math.floor(now() / 1000)
  const authority = createTestAuthority(trustDomain, { now })
  let port = await freePort()
  let running: { tls: TlsServer; sockets: Set<TLSSocket>; destroy(): void } | undefined

  const ownSvid = () => authority.x509Svid(options.serverPath ?? '/spire/server', { lifetimeSeconds: 365 * 86_400 })
  let own: { issuer: CertificateIssuer; svid: X509Svid } | undefined

  const fake: FakeSpireServer = {
    get address() {
      return `127.0.0.1:${port}`
    },
    trustDomain,
    authority,
    get bundlePem() {
      return formatPemCertificates(authority.bundle.x509Authorities)
    },
    entries: [],
    federated: new Map(),
    joinTokens: new Set(),
    spentBy: new Map(),
    answersToLose: 0,
    attestedKeys: [],
    x509popCa: undefined,
    failures: new Map(),
    held: new Map(),
    unsigned: new Set(),
    lifetimes: { agent: 3600, x509: 3600, jwt: 300 },
    pageSize: 500,
    taintFirstAuthority: false,
    revokeFirstAuthority: false,
    reportsKnown: true,
    calls: [],
    ended: [],
    refused: [],
    batches: [],
    count: (method) => fake.calls.filter((call) => call.method === method).length,
    start,
    stop,
  }

  const issue = (publicKeyDer: Uint8Array, id: string, lifetimeSeconds: number) => {
    const notAfter = nowSeconds() + lifetimeSeconds
    const der = authority.issuer.issue({
      publicKeyDer,
      serialNumber: newSerialNumber(),
      notBefore: nowSeconds() - 10,
      notAfter,
      uris: [id],
    })
    const { path } = parseSpiffeId(id)
    return {
      certChain: [der, ...authority.issuer.chain.map((certificate: Certificate) => certificate.der)],
      id: { trustDomain, path },
      expiresAt: notAfter,
      hint: '',
    }
  }

  const agents = new WeakMap<TLSSocket, string>()
  const socketsByAddress = new Map<string, TLSSocket>()
  const agentOf = (call: { getPeer(): string }) => {
    const socket = socketsByAddress.get(call.getPeer())
    return socket && agents.get(socket)
  }

  const seen = (method: string, call: { getPeer(): string; metadata: Metadata }) => {
    fake.calls.push({ method, agent: agentOf(call), metadata: call.metadata, at: now() })
    return fake.held.get(method)
  }
  const refuse = (method: string, call: { getPeer(): string }) => {
    const failure = fake.failures.get(method)
    if (failure?.once) fake.failures.delete(method)
    if (failure) throw asServiceError(failure)
    const anonymous = method === 'attestAgent' || method === 'getBundle'
    if (!anonymous && agentOf(call) === undefined)
      throw asServiceError({ code: status.PERMISSION_DENIED, details: 'no agent' })
  }
  const unary =
    <Request, Response>(method: string, answer: (request: Request, agent: string) => Response) =>
    async (
      call: { request: Request; getPeer(): string; metadata: Metadata },
      callback: (error: unknown, response?: Response) => void,
    ) => {
      let response: Response
      try {
        await seen(method, call)
        refuse(method, call)
        response = answer(call.request, agentOf(call) ?? '')
      } catch (error) {
        return callback(error)
      }
      callback(null, response)
    }

  const trusted = () => authority.bundle.x509Authorities.slice(fake.revokeFirstAuthority ? 1 : 0)
  const bundle = (): Bundle => ({
    trustDomain,
    x509Authorities: trusted().map(({ der }) => ({
      asn1: der,
      tainted: fake.taintFirstAuthority && der.equals(authority.bundle.x509Authorities[0]?.der as Buffer),
    })),
    jwtAuthorities: [...authority.bundle.jwtAuthorities.values()].map(({ keyId, publicKey }) => ({
      keyId,
      publicKey: publicKey.export({ type: 'spki', format: 'der' }),
      expiresAt: 0,
      tainted: false,
    })),
    refreshHint: 0,
    // Restless on purpose: an agent must not take it for news.
    sequenceNumber: fake.calls.length,
  })

  const handlers = {
    agent: {
      attestAgent: async (call: ServerDuplexStream<AttestAgentRequest, AttestAgentResponse>) => {
        try {
          seen('attestAgent', call)
          refuse('attestAgent', call)
          const messages = (call as AsyncIterable<AttestAgentRequest>)[Symbol.asyncIterator]()
          const first = (await messages.next()).value?.step
          if (first?.$case !== 'params' || !first.value.data || !first.value.params)
            throw asServiceError({ code: status.INVALID_ARGUMENT, details: 'malformed' })
          const { type, payload } = first.value.data
          const answer = async (challenge: object) => {
            call.write({ step: { $case: 'challenge', value: Buffer.from(JSON.stringify(challenge)) } })
            const next = (await messages.next()).value?.step
            if (next?.$case !== 'challengeResponse')
              throw asServiceError({ code: status.INVALID_ARGUMENT, details: 'no answer' })
            return JSON.parse(next.value.toString('utf8'))
          }
          const request = parseCertificateRequest(first.value.params.csr)
          const key = request.publicKeyDer.toString('base64')
          fake.attestedKeys.push(key)
          const path =
            type === 'join_token' ? joinTokenPath(payload, key, fake) : await x509popPath(payload, answer, fake)
          if (fake.answersToLose > 0) {
            fake.answersToLose -= 1
            throw asServiceError({ code: status.UNAVAILABLE, details: 'the connection broke' })
          }
          const svid = issue(request.publicKeyDer, spiffeId(trustDomain, path).toString(), fake.lifetimes.agent)
          call.write({ step: { $case: 'result', value: { svid, reattestable: type !== 'join_token' } } })
          call.end()
        } catch (error) {
          call.emit('error', error)
        }
      },
      renewAgent: unary('renewAgent', (request: { params?: { csr: Buffer } }, agent) => {
        const { publicKeyDer } = parseCertificateRequest(request.params?.csr ?? Buffer.alloc(0))
        return { svid: issue(publicKeyDer, agent, fake.lifetimes.agent) }
      }),
      postStatus: unary('postStatus', () => ({})),
    },
    bundle: {
      getBundle: unary('getBundle', bundle),
      getFederatedBundle: unary('getFederatedBundle', (request: { trustDomain: string }) => {
        const found = fake.federated.get(request.trustDomain)
        if (!found) throw asServiceError({ code: status.NOT_FOUND, details: 'bundle not found' })
        return found
      }),
    },
    entry: {
      getAuthorizedEntries: unary('getAuthorizedEntries', () => ({ entries: fake.entries })),
      syncAuthorizedEntries: async (
        call: ServerDuplexStream<SyncAuthorizedEntriesRequest, SyncAuthorizedEntriesResponse>,
      ) => {
        try {
          seen('syncAuthorizedEntries', call)
          refuse('syncAuthorizedEntries', call)
          await answerSync(call, fake)
        } catch (error) {
          if (!call.cancelled) call.emit('error', error)
        }
      },
    },
    svid: {
      batchNewX509Svid: unary('batchNewX509Svid', (request: { params: { entryId: string; csr: Buffer }[] }) => {
        fake.batches.push(request.params.length)
        return {
          results: request.params.map(({ entryId, csr }) => {
            const entry = fake.entries.find(({ id }) => id === entryId)
            if (!entry?.spiffeId || fake.unsigned.has(entryId))
              return {
                status: { code: status.NOT_FOUND, message: 'entry not found or not authorized' },
                svid: undefined,
              }
            const { publicKeyDer } = parseCertificateRequest(csr)
            const id = spiffeId(trustDomain, entry.spiffeId.path).toString()
            return {
              status: { code: 0, message: '' },
              svid: issue(publicKeyDer, id, entry.x509SvidTtl || fake.lifetimes.x509),
            }
          }),
        }
      }),
      newJwtsvid: unary('newJwtsvid', (request: { entryId: string; audience: string[] }) => {
        const entry = fake.entries.find(({ id }) => id === request.entryId)
        if (!entry?.spiffeId)
          throw asServiceError({ code: status.NOT_FOUND, details: 'entry not found or not authorized' })
        const lifetimeSeconds = fake.lifetimes.jwt
        const jti = randomBytes(8).toString('hex')
        const token = authority.jwtSvid(entry.spiffeId.path, request.audience, { lifetimeSeconds, jti })
        return {
          svid: {
            token,
            id: entry.spiffeId,
            issuedAt: nowSeconds(),
            expiresAt: nowSeconds() + lifetimeSeconds,
            hint: '',
          },
        }
      }),
    },
    workloads: {
      reportEnded: unary('reportEnded', (request: ReportEndedRequest) => {
        if (!fake.reportsKnown) throw asServiceError({ code: status.UNIMPLEMENTED, details: 'unknown service' })
        fake.ended.push(request)
        return { revoked: request.x509SerialNumbers.length + request.jwtIds.length }
      }),
      reportRefused: unary('reportRefused', (request: ReportRefusedRequest) => {
        if (!fake.reportsKnown) throw asServiceError({ code: status.UNIMPLEMENTED, details: 'unknown service' })
        fake.refused.push(request)
        return {}
      }),
    },
  }

  async function start(): Promise<void> {
    const grpc = new Server({ 'grpc.max_receive_message_length': 16 * 1024 * 1024 })
    grpc.addService(AgentService, handlers.agent as never)
    grpc.addService(BundleService, handlers.bundle as never)
    grpc.addService(EntryService, handlers.entry as never)
    grpc.addService(SVIDService, handlers.svid as never)
    grpc.addService(WorkloadsService, handlers.workloads as never)
    const injector = grpc.createConnectionInjector(ServerCredentials.createInsecure())
    // Kept as long as its issuer: TLS looks at the machine's clock, which an injected one may be far ahead of.
    if (own?.issuer !== authority.issuer) own = { issuer: authority.issuer, svid: ownSvid() }
    const { svid } = own
    const sockets = new Set<TLSSocket>()
    const tls = createServer(
      {
        cert: formatPemCertificates([...svid.certificates, ...authority.issuer.chain]),
        key: svid.privateKey.export({ type: 'pkcs8', format: 'pem' }) as string,
        requestCert: true,
        rejectUnauthorized: false,
        ALPNProtocols: ['h2'],
      },
      (socket) => {
        socket.on('error', () => {})
        const peer = socket.getPeerX509Certificate()
        if (peer) {
          try {
            const bundles = new Map([[trustDomain, createBundle({ trustDomain, x509Authorities: trusted() })]])
            agents.set(socket, verifyX509Svid([parseCertificate(peer.raw)], bundles, nowSeconds()).toString())
          } catch {
            return socket.destroy()
          }
        }
        const address = `agent-connection-${randomBytes(8).toString('hex')}`
        Object.defineProperty(socket, 'remoteAddress', { value: address })
        Object.defineProperty(socket, 'remotePort', { value: undefined })
        socketsByAddress.set(address, socket)
        sockets.add(socket)
        socket.once('close', () => sockets.delete(socket))
        injector.injectConnection(socket)
      },
    )
    tls.on('tlsClientError', () => {})
    await new Promise<void>((resolve, reject) => {
      tls.once('error', reject)
      tls.listen(port, '127.0.0.1', resolve)
    })
    port = (tls.address() as AddressInfo).port
    running = { tls, sockets, destroy: () => injector.destroy() }
  }

  async function stop(): Promise<void> {
    const ended = running
    running = undefined
    if (!ended) return
    ended.destroy()
    const closed = new Promise((resolve) => ended.tls.close(resolve))
    for (const socket of ended.sockets) socket.destroy()
    await closed
  }

  await start()
  return fake
}

/** An entry as the server sends it. */
export function fakeEntry(path: string, selectors: string[], more: Partial<Entry> = {}): Entry {
  return {
    ...Entry.fromPartial({}),
    id: path.slice(1).replaceAll('/', '-'),
    spiffeId: { trustDomain: 'example.test', path },
    selectors: selectors.map((text) => ({
      type: text.slice(0, text.indexOf(':')),
      value: text.slice(text.indexOf(':') + 1),
    })),
    createdAt: 1_700_000_000,
    ...more,
  }
}

function asServiceError({ code, details, reason }: Failure): Error {
  const metadata = new Metadata()
  if (reason !== undefined) {
    const value = Buffer.from(PermissionDeniedDetails.encode({ reason }).finish())
    const typeUrl = 'type.googleapis.com/spire.api.types.PermissionDeniedDetails'
    metadata.set(
      'grpc-status-details-bin',
      Buffer.from(RpcStatus.encode({ code, message: details, details: [{ typeUrl, value }] }).finish()),
    )
  }
  return Object.assign(new Error(details), { code, details, metadata })
}

function joinTokenPath(payload: Buffer, key: string, fake: FakeSpireServer): string {
  const token = payload.toString('utf8')
  if (fake.joinTokens.delete(token)) fake.spentBy.set(token, key)
  else if (fake.spentBy.get(token) !== key)
    throw asServiceError({
      code: status.INVALID_ARGUMENT,
      details: 'join token does not exist or has already been used',
    })
  return `/spire/agent/join_token/${token}`
}

interface EcdsaAnswer {
  ecdsa_signature: { nonce: string; r: string; s: string } | null
  rsa_signature: { nonce: string; signature: string } | null
}

async function x509popPath(
  payload: Buffer,
  challenge: (challenge: object) => Promise<EcdsaAnswer>,
  fake: FakeSpireServer,
): Promise<string> {
  const { certificates } = JSON.parse(payload.toString('utf8')) as { certificates: string[] }
  const leaf = new X509Certificate(Buffer.from(certificates[0] ?? '', 'base64'))
  if (!fake.x509popCa || !leaf.verify(new X509Certificate(fake.x509popCa).publicKey))
    throw asServiceError({ code: status.PERMISSION_DENIED, details: 'certificate verification failed' })
  const nonce = randomBytes(32)
  const rsa = leaf.publicKey.asymmetricKeyType === 'rsa'
  const kind = { nonce: nonce.toString('base64') }
  const answer = await challenge({ rsa_signature: rsa ? kind : null, ecdsa_signature: rsa ? null : kind })
  const part = rsa ? answer.rsa_signature : answer.ecdsa_signature
  const signed = Buffer.concat([nonce, Buffer.from(part?.nonce ?? '', 'base64')])
  const good = rsa
    ? verify(
        'sha256',
        signed,
        { key: createPublicKey(leaf.publicKey.export({ type: 'spki', format: 'pem' })), padding: 6 },
        Buffer.from(answer.rsa_signature?.signature ?? '', 'base64'),
      )
    : verify(
        'sha256',
        signed,
        { key: leaf.publicKey, dsaEncoding: 'ieee-p1363' },
        Buffer.concat([
          Buffer.from(answer.ecdsa_signature?.r ?? '', 'base64'),
          Buffer.from(answer.ecdsa_signature?.s ?? '', 'base64'),
        ]),
      )
  if (!good) throw asServiceError({ code: status.PERMISSION_DENIED, details: 'challenge response verification failed' })
  return `/spire/agent/x509pop/${createHash('sha1').update(leaf.raw).digest('hex')}`
}

async function answerSync(
  call: ServerDuplexStream<SyncAuthorizedEntriesRequest, SyncAuthorizedEntriesResponse>,
  fake: FakeSpireServer,
): Promise<void> {
  const { entries, pageSize } = fake
  const messages = (call as AsyncIterable<SyncAuthorizedEntriesRequest>)[Symbol.asyncIterator]()
  const first = (await messages.next()).value as SyncAuthorizedEntriesRequest | undefined
  if (!first || first.ids.length > 0 || first.outputMask?.revisionNumber === false)
    throw asServiceError({ code: status.INVALID_ARGUMENT, details: 'malformed first message' })
  if (entries.length <= pageSize) {
    call.write({ entries, entryRevisions: [], more: false })
    call.end()
    return
  }
  for (let at = 0; at < entries.length; at += pageSize) {
    const entryRevisions = entries
      .slice(at, at + pageSize)
      .map(({ id, revisionNumber, createdAt }) => ({ id, revisionNumber, createdAt }))
    call.write({ entries: [], entryRevisions, more: at + pageSize < entries.length })
  }
  for await (const { ids } of { [Symbol.asyncIterator]: () => messages }) {
    if (ids.length > pageSize || [...ids].sort().join() !== ids.join())
      throw asServiceError({ code: status.INVALID_ARGUMENT, details: 'page too large or not sorted' })
    const found = entries.filter(({ id }) => ids.includes(id))
    fake.batches.push(-found.length)
    call.write({ entries: found, entryRevisions: [], more: false })
  }
}
