import { type HealthServer, HealthCheckResponse_ServingStatus as Serving } from '@countersign/spiffe/protocol/health'
import { status } from '@grpc/grpc-js'
import { unary } from './calls.ts'
import type { NodeApiContext } from './context.ts'
import { RpcError } from './rpc-error.ts'

/** `grpc.health.v1.Health`, for load balancers; what watches asks again. */
export function healthService({ rules, limits, ca }: NodeApiContext): HealthServer {
  return {
    check: unary(rules, async ({ service }, { connection }) => {
      await limits.anyCall(connection)
      if (service !== '') throw new RpcError(status.NOT_FOUND, 'the health of this service is not known')
      try {
        ca.issuer()
        return { status: Serving.SERVING }
      } catch {
        return { status: Serving.NOT_SERVING }
      }
    }),
    watch: (call) => void call.emit('error', { code: status.UNIMPLEMENTED, details: 'ask by Check' }),
  }
}
