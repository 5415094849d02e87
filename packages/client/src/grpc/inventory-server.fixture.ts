import {
  Client,
  type ClientOptions,
  credentials,
  Server as GrpcServer,
  type Metadata,
  type MethodDefinition,
  type Server,
  ServerCredentials,
  type ServerDuplexStream,
  type ServiceError,
  type sendUnaryData,
  type status,
} from '@grpc/grpc-js'

/** What the server got: the metadata, and the very bytes of each message after decompression. */
export interface SeenCall {
  readonly method: string
  readonly metadata: Metadata
  readonly messages: Buffer[]
  readonly deadline: number | Date
}

export interface InventoryServer {
  readonly address: string
  readonly seen: SeenCall[]
  /** Calls end with this status instead of an answer. */
  failWith: status | undefined
  close(): void
}

type AnyCall = ServerDuplexStream<Buffer, unknown> & { request: Buffer }

/** A gRPC server that looks at nothing and answers `{"left":3}` to each request message. */
export async function inventoryServer(port = 0): Promise<InventoryServer> {
  const server: Server = new GrpcServer()
  const seen: SeenCall[] = []
  const inventory = { seen, failWith: undefined as status | undefined, close: () => server.forceShutdown() }
  const answer = { left: 3 }

  function see({ path }: { path: string }, call: AnyCall, ...messages: Buffer[]): Buffer[] {
    seen.push({ method: path, metadata: call.metadata, messages, deadline: call.getDeadline() })
    return messages
  }
  function finish(callback: sendUnaryData<unknown>): void {
    if (inventory.failWith === undefined) callback(null, answer)
    else callback({ code: inventory.failWith, details: 'not now' })
  }

  server.addService(
    Object.fromEntries(Object.entries(methods).map(([name, each]) => [name, { ...each, requestDeserialize: same }])),
    {
      unary(call: AnyCall, callback: sendUnaryData<unknown>) {
        see(methods.unary, call, call.request)
        finish(callback)
      },
      serverStream(call: AnyCall) {
        see(methods.serverStream, call, call.request)
        call.write(answer)
        call.end()
      },
      async clientStream(call: AnyCall, callback: sendUnaryData<unknown>) {
        const messages = see(methods.clientStream, call)
        for await (const message of call) messages.push(message)
        finish(callback)
      },
      async bidi(call: AnyCall) {
        const messages = see(methods.bidi, call)
        for await (const message of call) {
          messages.push(message)
          call.write(answer)
        }
        call.end()
      },
    } as never,
  )
  const bound = await new Promise<number>((resolve, reject) =>
    server.bindAsync(`127.0.0.1:${port}`, ServerCredentials.createInsecure(), (error, number) =>
      error ? reject(error) : resolve(number),
    ),
  )
  return Object.assign(inventory, { address: `127.0.0.1:${bound}` })
}

export function inventoryClient(address: string, options: Partial<ClientOptions> = {}): Client {
  return new Client(address, credentials.createInsecure(), options)
}

/** How often requests were serialised so far. */
export const serialisations = { count: 0 }

const json = {
  requestSerialize(value: unknown) {
    serialisations.count += 1
    return Buffer.from(JSON.stringify(value))
  },
  requestDeserialize: (bytes: Buffer) => JSON.parse(String(bytes)) as unknown,
  responseSerialize: (value: unknown) => Buffer.from(JSON.stringify(value)),
  responseDeserialize: (bytes: Buffer) => JSON.parse(String(bytes)) as unknown,
}

export const methods = {
  unary: method('DecreaseStock', false, false),
  serverStream: method('WatchStock', false, true),
  clientStream: method('CountStock', true, false),
  bidi: method('SyncStock', true, true),
}

function method(name: string, requestStream: boolean, responseStream: boolean): MethodDefinition<unknown, unknown> {
  return { path: `/shop.Inventory/${name}`, requestStream, responseStream, ...json }
}

function same(bytes: Buffer): Buffer {
  return bytes
}

/** What a call with one answer came to. */
export interface Outcome {
  readonly error: ServiceError | null
  readonly answer?: unknown
}
