import {
  checkServiceToken,
  createServiceTokenSigner,
  generateSigningKey,
  grpcBinding,
  importPublicJwk,
  parseJwt,
  serviceTokenReason,
  TokenError,
} from '@countersign/tokens'
import {
  Client,
  credentials,
  Metadata,
  type MethodDefinition,
  Server,
  ServerCredentials,
  type ServerDuplexStream,
  type ServerOptions,
  type ServiceError,
  type sendUnaryData,
} from '@grpc/grpc-js'
import type { Caller } from '../caller.ts'
import { GuardError } from '../guard-error.ts'
import { type GrpcGuardOptions, guardGrpc } from './guard-grpc.ts'
import type { GrpcTokenVerifier } from './received-call.ts'

export type AnyCall = ServerDuplexStream<unknown, unknown> & {
  request: unknown
  caller?: Caller
  m2mPayload?: Record<string, unknown>
}
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
  server.addService(...guardGrpc(verifier, methods, handlers as never, guardOptions))
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

export function createVerifier(now: () => number = Date.now): GrpcTokenVerifier {
  const used = new Set<string>()
  return {
    async verify(token, call) {
      try {
        const binding = grpcBinding(call)
        const rules = { audiences: ['inventory-service'], binding }
        const claims = checkServiceToken(parseJwt(token), publicKey, rules, now() / 1000)
        if (claims.sender === 'blocked-service') {
          throw new GuardError({
            code: 'InvalidM2MToken' as never,
            reason: 'sender',
            message: "M2M token sender 'blocked-service' is in the M2M block list",
            realm: '',
          })
        }
        if (used.has(claims.jti)) throw new TokenError('replayed_token', 'used', 'jti')
        used.add(claims.jti)
        return {
          method: 'service_token',
          clientId: claims.sender,
          subject: claims.sub,
          scopes: [],
          audience: claims.aud,
          issuer: claims.iss,
          credentialId: '',
          tokenId: claims.jti,
          expiresAt: claims.exp,
          claims,
        }
      } catch (error) {
        if (!(error instanceof TokenError)) throw error
        throw new GuardError({
          code: 'invalid_token',
          reason: serviceTokenReason(error),
          message: 'wrong token',
          realm: '',
        })
      }
    },
  }
}
