import { Server, ServerCredentials } from '@grpc/grpc-js'
import { reasonOf } from '../log/describe-error.ts'
import { ServiceError } from '../service-error.ts'
import type { Transport, TransportRuntime } from '../transport.ts'
import { arrivalLimit } from './arrival-limit.ts'
import { serveHealth } from './health.ts'
import { logOfLibrary } from './library-log.ts'
import { fieldsWithoutPresence, type LoadedMethod, loadMethods } from './load-methods.ts'
import { operationHandler } from './operation-handlers.ts'
import { serveTypes } from './served-types.ts'

export interface GrpcTransport extends Transport {
  /** Where it listens, once it has started; undefined where no API has grpcSettings. */
  readonly port: number | undefined
}

export interface GrpcRuntime extends TransportRuntime {
  /** Rejects while the service cannot do its work; what the health service says. */
  ready?(): Promise<void>
}

/**
 * The service's gRPC side: the business APIs with `grpcSettings`, grpc.health.v1, and the types for those who call by
 * name. Throws ServiceError `invalid_service` for .proto files that cannot be used or have no such method.
 */
export function createGrpcTransport(runtime: GrpcRuntime): GrpcTransport {
  const { settings, log, ready = async () => {} } = runtime
  const methods = loadMethods(runtime.operations)
  const server = new Server({
    'grpc.max_receive_message_length': settings.maximumBody,
    'grpc.max_concurrent_streams': 1_000,
    // Peers that are gone without a word are found out.
    'grpc.keepalive_time_ms': 120_000,
    interceptors: [arrivalLimit(arrivalMilliseconds)],
  })
  for (const method of methods) server.addService(...operationHandler(method, runtime))
  serveTypes(server, methods)
  const health = serveHealth(server, [...new Set(methods.map(({ service }) => service))], ready)
  let port: number | undefined

  return {
    get port() {
      return port
    },
    async start() {
      if (methods.length === 0) return
      logOfLibrary(log)
      for (const method of methods) noticePresence(method, log)
      const host = settings.grpcHost.includes(':') ? `[${settings.grpcHost}]` : settings.grpcHost
      port = await listen(server, `${host}:${settings.grpcPort}`)
      health.setServing(true)
      log.info({ port }, 'gRPC is served')
    },
    async stop() {
      health.setServing(false)
      health.close()
      await drain(server, settings.stopSeconds)
    },
  }
}

/** As over REST. */
const arrivalMilliseconds = 30_000

function noticePresence(method: LoadedMethod, log: TransportRuntime['log']): void {
  const fields = fieldsWithoutPresence(method).join(', ')
  if (fields === '') return
  const { path } = method.definition
  log.warn(
    { operation: method.operation.name, fields },
    `${path} cannot tell a 0 or false from nothing and refuses it; declare the fields optional in the .proto file`,
  )
}

function listen(server: Server, address: string): Promise<number> {
  return new Promise((resolve, reject) =>
    server.bindAsync(address, ServerCredentials.createInsecure(), (cause, port) => {
      if (cause === null) resolve(port)
      else {
        const sentence = `gRPC cannot listen on ${address} (${reasonOf(cause)}); set GRPC_PORT and GRPC_HOST`
        reject(new ServiceError('cannot_start', sentence, { cause }))
      }
    }),
  )
}

/** New calls are turned away, and those that run may end; whatever is left then is cut off. */
function drain(server: Server, seconds: number): Promise<void> {
  return new Promise((resolve) => {
    const cut = setTimeout(() => {
      server.forceShutdown()
      resolve()
    }, seconds * 1000)
    server.tryShutdown(() => {
      clearTimeout(cut)
      resolve()
    })
  })
}
