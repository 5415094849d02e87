import {
  type HealthServer,
  HealthCheckResponse_ServingStatus as ServingStatus,
} from '@countersign/spiffe/protocol/health'
import { status } from '@grpc/grpc-js'
import { CallRefusal } from '../workloads/call-refusal.ts'

/** gRPC health of the whole agent: serving once it has synchronized and while the server knows it. */
export function healthService(isServing: () => boolean, onChange: (listener: () => void) => () => void): HealthServer {
  const now = () => ({ status: isServing() ? ServingStatus.SERVING : ServingStatus.NOT_SERVING })
  return {
    check: (call, callback) => {
      if (call.request.service === '') callback(null, now())
      else callback(new CallRefusal(status.NOT_FOUND, 'unknown service'))
    },
    watch: (call) => {
      if (call.request.service !== '') {
        call.write({ status: ServingStatus.SERVICE_UNKNOWN })
        return
      }
      let sent = now()
      call.write(sent)
      const stop = onChange(() => {
        if (now().status === sent.status) return
        sent = now()
        call.write(sent)
      })
      call.on('cancelled', stop)
      call.on('close', stop)
    },
  }
}
