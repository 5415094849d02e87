import {
  type ClientReadableStream,
  type ClientUnaryCall,
  credentials,
  Metadata,
  type ServiceError,
} from '@grpc/grpc-js'
import type { SpiffeId } from '../ids/spiffe-id.ts'
import { parseSpiffeId } from '../ids/spiffe-id.ts'
import {
  type JWTSVIDResponse,
  SpiffeWorkloadAPIClient,
  type ValidateJWTSVIDResponse,
} from '../protocol/workload-api.ts'
import { SpiffeError } from '../spiffe-error.ts'
import type { JwtSvid } from '../svids/jwt-svid.ts'
import { callError } from './call-error.ts'
import { readJwtBundles, readJwtSvids } from './jwt-answers.ts'
import type { OnUnreadable, TrustBundles } from './received-bundles.ts'
import { grpcTarget } from './socket-address.ts'
import { watchStream } from './watch.ts'
import { readX509Bundles, readX509Context, type X509Context } from './x509-context.ts'

export interface WorkloadApiOptions {
  /** `unix:///path/of.sock` or `tcp://ADDRESS:PORT`. Default: SPIFFE_ENDPOINT_SOCKET, else Countersign's own socket. */
  socket?: string
  /** How long a single question may take, the first answer of a stream included. Default 30. */
  timeoutSeconds?: number
}

export interface JwtSvidRequest {
  /** For whom the JWT-SVID is: at least one. */
  audience: string | readonly string[]
  /** Which of one's identities it is to name. Default: the first. */
  id?: SpiffeId | string
}

/**
 * The SPIFFE Workload API of the agent on this machine.
 *
 * Every method throws SpiffeError: `no_identity` when no registration entry matches this process, `unavailable` when
 * the agent cannot be reached, `invalid_...` for an answer that breaks the standard. The `watch` methods go on after
 * an error, until the function they return is called.
 */
export interface WorkloadApi {
  fetchX509Context(): Promise<X509Context>
  watchX509Context(onUpdate: (context: X509Context) => void, onError?: (error: SpiffeError) => void): () => void
  fetchX509Bundles(): Promise<TrustBundles>
  watchX509Bundles(onUpdate: (bundles: TrustBundles) => void, onError?: (error: SpiffeError) => void): () => void
  /** The JWT-SVID of `id`, or of the default identity. */
  fetchJwtSvid(request: JwtSvidRequest): Promise<JwtSvid>
  /** One for each identity of this process, or for `id` alone. */
  fetchJwtSvids(request: JwtSvidRequest): Promise<JwtSvid[]>
  fetchJwtBundles(): Promise<TrustBundles>
  watchJwtBundles(onUpdate: (bundles: TrustBundles) => void, onError?: (error: SpiffeError) => void): () => void
  /** Has the agent check a JWT-SVID. A refusal is the error `untrusted_svid`. */
  validateJwtSvid(request: {
    audience: string
    token: string
  }): Promise<{ id: SpiffeId; claims: Record<string, unknown> }>
  /** Ends the connection and everything that watches. */
  close(): void
}

/** @throws SpiffeError `invalid_configuration` when the socket's address is not one */
export function createWorkloadApi(options: WorkloadApiOptions = {}): WorkloadApi {
  const target = grpcTarget(options.socket)
  const client = new SpiffeWorkloadAPIClient(target, credentials.createInsecure(), channelOptions)
  const metadata = new Metadata()
  // SPIFFE Workload Endpoint, section 5: what a server-side request forgery cannot send.
  metadata.set('workload.spiffe.io', 'true')
  const callOptions = () => ({ deadline: Date.now() + (options.timeoutSeconds ?? 30) * 1000 })
  const watching = new Set<() => void>()

  function unary<Answer>(
    send: (done: (error: ServiceError | null, answer: Answer) => void) => ClientUnaryCall,
  ): Promise<Answer> {
    return new Promise((resolve, reject) => {
      send((error, answer) => (error ? reject(callError(error, target)) : resolve(answer)))
    })
  }

  function first<Message>(stream: ClientReadableStream<Message>) {
    return new Promise<Message>((resolve, reject) => {
      stream.once('data', (message: Message) => {
        resolve(message)
        stream.cancel()
      })
      stream.on('error', (error) => reject(callError(error, target)))
    })
  }

  function watch<Message>(
    open: () => ClientReadableStream<Message>,
    onMessage: (message: Message, onUnreadable: OnUnreadable) => void,
    onError: (error: SpiffeError) => void = () => {},
  ) {
    const end = watchStream({ target, open, onMessage: (message: Message) => onMessage(message, onError), onError })
    watching.add(end)
    return () => {
      watching.delete(end)
      end()
    }
  }

  async function fetchJwtSvids({ audience, id }: JwtSvidRequest) {
    const request = { audience: [audience].flat(), spiffeId: id?.toString() ?? '' }
    if (request.audience.length === 0 || request.audience.includes('')) {
      throw new SpiffeError(
        'invalid_configuration',
        'a JWT-SVID needs an audience: the name of whom it will be sent to',
      )
    }
    const answer = await unary<JWTSVIDResponse>((done) => client.fetchJwtsvid(request, metadata, callOptions(), done))
    return readJwtSvids(answer, request.audience)
  }

  return {
    fetchX509Context: async () => readX509Context(await first(client.fetchX509Svid({}, metadata, callOptions()))),
    watchX509Context: (onUpdate, onError) =>
      watch(
        () => client.fetchX509Svid({}, metadata),
        (message, onUnreadable) => onUpdate(readX509Context(message, onUnreadable)),
        onError,
      ),
    fetchX509Bundles: async () => readX509Bundles(await first(client.fetchX509Bundles({}, metadata, callOptions()))),
    watchX509Bundles: (onUpdate, onError) =>
      watch(
        () => client.fetchX509Bundles({}, metadata),
        (message, onUnreadable) => onUpdate(readX509Bundles(message, onUnreadable)),
        onError,
      ),
    fetchJwtSvid: async (request) => (await fetchJwtSvids(request))[0]!,
    fetchJwtSvids,
    fetchJwtBundles: async () => readJwtBundles(await first(client.fetchJwtBundles({}, metadata, callOptions()))),
    watchJwtBundles: (onUpdate, onError) =>
      watch(
        () => client.fetchJwtBundles({}, metadata),
        (message, onUnreadable) => onUpdate(readJwtBundles(message, onUnreadable)),
        onError,
      ),
    async validateJwtSvid({ audience, token }) {
      const request = { audience, svid: token }
      const answer = await unary<ValidateJWTSVIDResponse>((done) =>
        client.validateJwtsvid(request, metadata, callOptions(), done),
      ).catch((error: SpiffeError) => {
        if (error.code !== 'invalid_configuration') throw error
        throw new SpiffeError('untrusted_svid', error.message, { cause: error.cause })
      })
      return { id: parseSpiffeId(answer.spiffeId), claims: answer.claims ?? {} }
    },
    close() {
      for (const end of watching) end()
      watching.clear()
      client.close()
    },
  }
}

const channelOptions = {
  // A socket on this machine is tried again soon, and never through a proxy.
  'grpc.initial_reconnect_backoff_ms': 100,
  'grpc.max_reconnect_backoff_ms': 5_000,
  'grpc.enable_http_proxy': 0,
  'grpc.service_config_disable_resolution': 1,
  'grpc.use_local_subchannel_pool': 1,
  'grpc.max_receive_message_length': 4 * 1024 * 1024,
}
