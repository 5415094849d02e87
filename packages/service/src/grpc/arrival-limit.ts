import { constants } from 'node:http2'
import { ServerInterceptingCall, type ServerInterceptor, status } from '@grpc/grpc-js'

/** Ends calls whose request has not arrived whole in time: whoever sends nothing more must not hold a stream open. */
export function arrivalLimit(milliseconds: number): ServerInterceptor {
  return (_method, call) =>
    new ServerInterceptingCall(call, {
      start(next) {
        const timer = setTimeout(() => {
          call.sendStatus(tooLate)
          // The status ends our side of the stream only. Nothing documented ends the other; a test watches over this.
          const { stream } = call as { stream?: { close(code: number): void } }
          stream?.close(constants.NGHTTP2_NO_ERROR)
        }, milliseconds)
        next({
          onReceiveHalfClose(pass) {
            clearTimeout(timer)
            pass()
          },
          onCancel: () => clearTimeout(timer),
        })
      },
    })
}

const tooLate = { code: status.DEADLINE_EXCEEDED, details: 'The request did not arrive in time.' }
