import { SpiffeWorkloadAPIClient, type X509SVIDResponse } from '@countersign/spiffe/protocol/workload-api'
import { type ClientReadableStream, credentials, Metadata, type ServiceError } from '@grpc/grpc-js'

/** The header that every call of the Workload API carries. */
export function header(): Metadata {
  const metadata = new Metadata()
  metadata.set('workload.spiffe.io', 'true')
  return metadata
}

/** A Workload API client with nothing between the test and the wire. */
export function openWorkloadClient(socket: string): SpiffeWorkloadAPIClient {
  return new SpiffeWorkloadAPIClient(`unix://${socket}`, credentials.createInsecure(), {
    'grpc.use_local_subchannel_pool': 1,
    'grpc.initial_reconnect_backoff_ms': 100,
  })
}

/** The messages of a stream, one by one; its end as an error with a gRPC code. */
export class Messages<Message> {
  readonly #stream: ClientReadableStream<Message>
  readonly #arrived: Message[] = []
  #ended: ServiceError | Error | undefined
  #wake: () => void = () => {}

  constructor(stream: ClientReadableStream<Message>) {
    this.#stream = stream
    stream.on('data', (message: Message) => {
      this.#arrived.push(message)
      this.#wake()
    })
    stream.on('error', (error) => this.#end(error))
    stream.on('end', () => this.#end(new Error('the stream ended')))
  }

  #end(error: Error): void {
    this.#ended ??= error
    this.#wake()
  }

  /** @throws the stream's error once there are no more messages */
  async next(): Promise<Message> {
    for (;;) {
      const message = this.#arrived.shift()
      if (message !== undefined) return message
      if (this.#ended) throw this.#ended
      await new Promise<void>((resolve) => {
        this.#wake = resolve
      })
    }
  }

  /** How many wait to be read. */
  get waiting(): number {
    return this.#arrived.length
  }

  cancel(): void {
    this.#stream.cancel()
  }
}

/** One FetchX509SVID and its first message. */
export async function fetchX509(socket: string): Promise<X509SVIDResponse> {
  const client = openWorkloadClient(socket)
  try {
    const messages = new Messages(client.fetchX509Svid({}, header()))
    const first = await messages.next()
    messages.cancel()
    return first
  } finally {
    client.close()
  }
}
