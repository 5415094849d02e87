import { type Server, type ServerUnaryCall, type ServerWritableStream, type sendUnaryData, status } from '@grpc/grpc-js'
import { serviceTypes } from './message-types.ts'

const types = {
  nested: {
    grpc: {
      nested: {
        health: {
          nested: {
            v1: {
              nested: {
                HealthCheckRequest: { fields: { service: { type: 'string', id: 1 } } },
                HealthCheckResponse: {
                  fields: { status: { type: 'ServingStatus', id: 1 } },
                  nested: { ServingStatus: { values: { UNKNOWN: 0, SERVING: 1, NOT_SERVING: 2, SERVICE_UNKNOWN: 3 } } },
                },
                Health: {
                  methods: {
                    Check: { requestType: 'HealthCheckRequest', responseType: 'HealthCheckResponse' },
                    Watch: {
                      requestType: 'HealthCheckRequest',
                      responseType: 'HealthCheckResponse',
                      responseStream: true,
                    },
                  },
                },
              },
            },
          },
        },
      },
    },
  },
}

/** `Check` and `Watch`. */
export const healthMethods = serviceTypes(types).methodsOf('grpc.health.v1.Health')!

/** grpc.health.v1, open to anybody, as load balancers and Kubernetes ask it. */
export interface Health {
  /** Tells those who watch. */
  setServing(serving: boolean): void
  /** Ends what is watched, so that a server can come to its end. */
  close(): void
}

type Request = { service?: string }
type Answer = { status: 'SERVING' | 'NOT_SERVING' | 'SERVICE_UNKNOWN' }

/** @param services those that are served, besides the server as a whole (`''`) */
export function serveHealth(server: Server, services: readonly string[], ready: () => Promise<void>): Health {
  const watchers = new Map<ServerWritableStream<Request, Answer>, string>()
  const known = new Set(['', ...services])
  let serving = false
  const statusOf = (service: string): Answer => ({
    status: !known.has(service) ? 'SERVICE_UNKNOWN' : serving ? 'SERVING' : 'NOT_SERVING',
  })

  server.addService(healthMethods, {
    async Check({ request }: ServerUnaryCall<Request, Answer>, callback: sendUnaryData<Answer>) {
      const { service = '' } = request
      if (!known.has(service)) return callback({ code: status.NOT_FOUND, details: 'no such service is served here' })
      const isReady = await ready().then(
        () => true,
        () => false,
      )
      callback(null, isReady ? statusOf(service) : { status: 'NOT_SERVING' })
    },
    Watch(call: ServerWritableStream<Request, Answer>) {
      if (watchers.size >= mostWatchers) {
        call.emit('error', { code: status.RESOURCE_EXHAUSTED, details: 'too many watch already' })
        return
      }
      const { service = '' } = call.request
      watchers.set(call, service)
      call.once('close', () => watchers.delete(call))
      call.once('cancelled', () => watchers.delete(call))
      call.write(statusOf(service))
    },
  })

  return {
    setServing(now) {
      if (now === serving) return
      serving = now
      for (const [call, service] of watchers) call.write(statusOf(service))
    },
    close() {
      for (const call of watchers.keys()) call.end()
      watchers.clear()
    },
  }
}

const mostWatchers = 1000
