import { createMemorySingleUse } from '@countersign/limits'
import { createServiceTokenSigner, generateSigningKey, grpcBinding, importPublicJwk } from '@countersign/tokens'
import {
  Client,
  credentials,
  Metadata,
  type MethodDefinition,
  Server,
  ServerCredentials,
  type ServerDuplexStream,
  type ServerOptions,
  type ServiceDefinition,
  type ServiceError,
  type sendUnaryData,
  type UntypedServiceImplementation,
} from '@grpc/grpc-js'
import type { ServiceTokenOptions } from '../service-token/service-token-options.ts'
import { createServiceTokenVerifier, type ServiceTokenVerifier } from '../service-token/service-token-verifier.ts'
import type { GuardedCall } from './admitted-caller.ts'
import { type GrpcGuardOptions, guardGrpc } from './guard-grpc.ts'
import type { GrpcTokenVerifier } from './incoming-call.ts'

export type AnyCall = GuardedCall<ServerDuplexStream<unknown, unknown>> & { request: unknown }
export type Handlers = Partial<
  Record<keyof typeof methods, (call: AnyCall, callback: sendUnaryData<unknown>) => unknown>
>

export interface GuardedService {
  readonly address: string
  readonly client: Client
  close(): void
}

/** A service behind the guard on a real socket. Messages are JSON. */
export async function guardedService(
  handlers: Handlers,
  options: GrpcGuardOptions & { verifier?: GrpcTokenVerifier; server?: ServerOptions } = {},
): Promise<GuardedService> {
  const { verifier = createVerifier(), server: serverOptions, ...guardOptions } = options
  const server = new Server(serverOptions)
  const implementation = handlers as unknown as UntypedServiceImplementation
  server.addService(...guardGrpc(verifier, methods as ServiceDefinition, implementation, guardOptions))
  const port = await new Promise<number>((resolve, reject) =>
    server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, number) =>
      error ? reject(error) : resolve(number),
    ),
  )
  const address = `127.0.0.1:${port}`
  const client = new Client(address, credentials.createInsecure(), { 'grpc.enable_retries': 0 })
  return {
    address,
    client,
    close() {
      client.close()
      server.forceShutdown()
    },
  }
}

const key = await generateSigningKey('EdDSA')
const publicKey = importPublicJwk(key.publicJwk)

export interface TokenDetails {
  sender?: string
  audience?: string
  method?: keyof typeof methods
  /** What the token is bound to; null for streamed requests. */
  message: unknown
  lifetimeSeconds?: number
  now?: () => number
}

export function tokenFor({ message, ...details }: TokenDetails): string {
  const bytes = message === null ? null : message instanceof Uint8Array ? message : encoded(message)
  const signer = createServiceTokenSigner({
    name: details.sender ?? 'order',
    key: { key: key.privateKey, publicJwk: key.publicJwk },
    lifetimeSeconds: details.lifetimeSeconds,
    now: details.now ?? Date.now,
  })
  const binding = grpcBinding({ method: methods[details.method ?? 'unary'].path, message: bytes })
  return signer.sign({ audience: details.audience ?? 'inventory-service', binding })
}

export function withToken(token: string, name = 'x-m2m-token'): Metadata {
  const metadata = new Metadata()
  metadata.set(name, token)
  return metadata
}

export interface Outcome {
  readonly error: ServiceError | null
  readonly answer?: unknown
}

export function unary(client: Client, message: unknown, metadata = new Metadata()): Promise<Outcome> {
  const { path, requestSerialize, responseDeserialize } = methods.unary
  return new Promise((resolve) =>
    client.makeUnaryRequest(path, requestSerialize, responseDeserialize, message, metadata, (error, answer) =>
      resolve({ error, answer }),
    ),
  )
}

/** Requests that were parsed so far. */
export const parsed: unknown[] = []

export function encoded(value: unknown): Buffer {
  return Buffer.from(JSON.stringify(value))
}

export const methods = {
  unary: method('DecreaseStock', false, false),
  serverStream: method('WatchStock', false, true),
  clientStream: method('CountStock', true, false),
  bidi: method('SyncStock', true, true),
}

function method(name: string, requestStream: boolean, responseStream: boolean): MethodDefinition<unknown, unknown> {
  return {
    path: `/shop.Inventory/${name}`,
    requestStream,
    responseStream,
    requestSerialize: (value) => (value instanceof Buffer ? value : encoded(value)),
    requestDeserialize(bytes) {
      const value = JSON.parse(String(bytes)) as unknown
      parsed.push(value)
      return value
    },
    responseSerialize: encoded,
    responseDeserialize: (bytes) => JSON.parse(String(bytes)) as unknown,
  }
}

/** The real verifier of inventory, which knows the key of every sender of `tokenFor`. */
export function createVerifier(
  now: () => number = Date.now,
  options: Partial<ServiceTokenOptions> = {},
): ServiceTokenVerifier {
  return createServiceTokenVerifier({
    name: 'inventory',
    keys: { keyFor: () => publicKey },
    uses: createMemorySingleUse({ now: () => now() - 60_000, monotonicNow: now }),
    blockList: ['blocked'],
    now,
    ...options,
  })
}
