import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Metadata, ServerWritableStream, sendUnaryData } from '@grpc/grpc-js'
import type { Bundle } from './bundles/bundle.ts'
import { formatJwtBundle } from './bundles/bundle-document.ts'
import type { SpiffeWorkloadAPIServer, ValidateJWTSVIDResponse, X509SVID } from './protocol/workload-api.ts'
import { verifyJwtSvid } from './svids/jwt-svid.ts'
import type { X509Svid } from './svids/x509-svid.ts'
import type { TestAuthority } from './test-authority.ts'

/** A Workload API on a real socket that says what a test wants. */
export interface FakeWorkloadApi {
  /** For the option `socket` and for SPIFFE_ENDPOINT_SOCKET. */
  readonly socket: string
  /** How many calls of each method there were. */
  readonly calls: ReadonlyMap<string, number>
  /** The caller's identities from now on. None: PERMISSION_DENIED, and the streams end with it. */
  setSvids(svids: readonly X509Svid[]): void
  /** The bundles of other trust domains. */
  setFederated(bundles: readonly Bundle[]): void
  /** Tells all streams again; for the authority's bundle after its `rotate`. */
  refresh(): void
  /** Calls from now on get neither answer nor refusal. */
  answerNothing(): void
  /** Every call from now on fails with this gRPC status code, until it is undefined. */
  failWith(code: number | undefined): void
  close(): Promise<void>
}

export interface FakeWorkloadApiOptions {
  readonly svids?: readonly X509Svid[]
  /** Default: one in a new folder, which `close` removes. */
  readonly socket?: string
  readonly jwtLifetimeSeconds?: number
}

/** `authority` signs the JWT-SVIDs, and its bundle is that of the identities' trust domain. */
export async function startFakeWorkloadApi(
  authority: TestAuthority,
  options: FakeWorkloadApiOptions = {},
): Promise<FakeWorkloadApi> {
  // Loaded here, so that a test which only needs an authority needs no gRPC.
  const { Server, ServerCredentials, status } = await import('@grpc/grpc-js')
  const { SpiffeWorkloadAPIService } = await import('./protocol/workload-api.ts')
  const folder = options.socket === undefined ? mkdtempSync(join(tmpdir(), 'workload-api-')) : undefined
  const socket = options.socket ?? `unix://${folder}/agent.sock`
  const calls = new Map<string, number>()
  const streams = new Set<() => void>()
  let svids = options.svids ?? []
  let federated: readonly Bundle[] = []
  let failure: number | undefined
  let silent = false

  function refusal(metadata: Metadata) {
    if (failure !== undefined) return { code: failure, details: 'as the test wants it' }
    if (metadata.get('workload.spiffe.io').join() !== 'true') {
      return { code: status.INVALID_ARGUMENT, details: 'security header missing from request' }
    }
    if (svids.length === 0) return { code: status.PERMISSION_DENIED, details: 'no identity issued' }
    return undefined
  }

  function unary<Answer>(
    call: { getPath(): string; metadata: Metadata },
    done: sendUnaryData<Answer>,
    answer: () => Answer,
  ) {
    count(calls, call.getPath())
    if (silent) return
    const refused = refusal(call.metadata)
    if (refused) return done(refused)
    try {
      done(null, answer())
    } catch (error) {
      done({ code: status.INVALID_ARGUMENT, details: (error as Error).message })
    }
  }

  function stream<Message>(call: ServerWritableStream<object, Message>, message: () => Message) {
    count(calls, call.getPath())
    const send = () => {
      if (silent) return
      const refused = refusal(call.metadata)
      if (!refused) return call.write(message())
      streams.delete(send)
      return call.emit('error', refused)
    }
    streams.add(send)
    call.on('cancelled', () => streams.delete(send))
    send()
  }

  const tellAll = () => {
    for (const send of streams) send()
  }
  const keyed = (bundles: readonly Bundle[], read: (bundle: Bundle) => Buffer) =>
    Object.fromEntries(bundles.map((bundle) => [`spiffe://${bundle.trustDomain}`, read(bundle)]))
  const allBundles = () => [authority.bundle, ...federated]

  const implementation: SpiffeWorkloadAPIServer = {
    fetchX509Svid: (call) =>
      stream(call, () => ({
        svids: svids.map((svid) => svidMessage(svid, authority.bundle)),
        crl: [],
        federatedBundles: keyed(federated, x509Authorities),
      })),
    fetchX509Bundles: (call) => stream(call, () => ({ crl: [], bundles: keyed(allBundles(), x509Authorities) })),
    fetchJwtBundles: (call) => stream(call, () => ({ bundles: keyed(allBundles(), jwtAuthorities) })),
    fetchJwtsvid: (call, done) =>
      unary(call, done, () => {
        const { audience, spiffeId } = call.request
        const asked = svids.filter(({ id }) => spiffeId === '' || id.toString() === spiffeId)
        const lifetime = { lifetimeSeconds: options.jwtLifetimeSeconds }
        return {
          svids: asked.map(({ id, hint }) => {
            return { spiffeId: id.toString(), svid: authority.jwtSvid(id.path, audience, lifetime), hint }
          }),
        }
      }),
    validateJwtsvid: (call, done) =>
      unary(call, done, (): ValidateJWTSVIDResponse => {
        const bundles = new Map(allBundles().map((bundle) => [bundle.trustDomain, bundle]))
        const { svid, audience } = call.request
        const { id, claims } = verifyJwtSvid(svid, { audience, bundles, now: Date.now() / 1000 })
        return { spiffeId: id.toString(), claims: { ...claims } }
      }),
  }

  const server = new Server()
  server.addService(SpiffeWorkloadAPIService, implementation)
  await new Promise<void>((resolve, reject) => {
    const target = socket.replace(/^tcp:\/\//, '')
    server.bindAsync(target, ServerCredentials.createInsecure(), (error) => (error ? reject(error) : resolve()))
  })

  return {
    socket,
    calls,
    setSvids(next) {
      svids = next
      tellAll()
    },
    setFederated(next) {
      federated = next
      tellAll()
    },
    refresh: tellAll,
    answerNothing() {
      silent = true
    },
    failWith(code) {
      failure = code
      if (code !== undefined) tellAll()
    },
    async close() {
      server.forceShutdown()
      if (folder !== undefined) rmSync(folder, { recursive: true, force: true })
    },
  }
}

function svidMessage(svid: X509Svid, bundle: Bundle): X509SVID {
  return {
    spiffeId: svid.id.toString(),
    x509Svid: Buffer.concat(svid.certificates.map(({ der }) => der)),
    x509SvidKey: svid.privateKey.export({ format: 'der', type: 'pkcs8' }),
    bundle: x509Authorities(bundle),
    hint: svid.hint,
  }
}

function x509Authorities(bundle: Bundle): Buffer {
  return Buffer.concat(bundle.x509Authorities.map(({ der }) => der))
}

function jwtAuthorities(bundle: Bundle): Buffer {
  return Buffer.from(formatJwtBundle(bundle))
}

function count(calls: Map<string, number>, path: string): void {
  const method = path.slice(path.lastIndexOf('/') + 1)
  calls.set(method, (calls.get(method) ?? 0) + 1)
}
