import { OpenCounts } from '@countersign/limits/open-counts'
import { ServerInterceptingCall, type ServerInterceptor, status } from '@grpc/grpc-js'
import type { NodeConnection } from './node-connection.ts'

/**
 * Refuses an agent's calls beyond so many that are open at once, over all its connections, with RESOURCE_EXHAUSTED:
 * before a byte of their messages is taken in, as one that never ends would be kept as long as the connection lasts.
 */
export function limitOpenCalls(
  mostOfOne: number,
  connectionOf: (name: string) => NodeConnection | undefined,
): ServerInterceptor {
  const open = new OpenCounts({ one: mostOfOne })
  return (_method, call) => {
    let release: (() => void) | undefined
    return new ServerInterceptingCall(call, {
      start(next) {
        next({
          onReceiveMetadata(metadata, goOn) {
            const agentId = connectionOf(call.getPeer())?.peer?.id.toString()
            release = agentId === undefined ? () => {} : open.take(agentId)
            if (release) goOn(metadata)
            else call.sendStatus({ code: status.RESOURCE_EXHAUSTED, details: 'too many calls are open at once' })
          },
          onCancel: () => release?.(),
        })
      },
      sendStatus(ending, next) {
        release?.()
        next(ending)
      },
    })
  }
}
