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
  const open = new Map<string, number>()

  function take(agentId: string): (() => void) | undefined {
    const count = open.get(agentId) ?? 0
    if (count >= mostOfOne) return undefined
    open.set(agentId, count + 1)
    let isOpen = true
    return () => {
      if (!isOpen) return
      isOpen = false
      const left = (open.get(agentId) ?? 1) - 1
      if (left > 0) open.set(agentId, left)
      else open.delete(agentId)
    }
  }

  return (_method, call) => {
    let release: (() => void) | undefined
    return new ServerInterceptingCall(call, {
      start(next) {
        next({
          onReceiveMetadata(metadata, goOn) {
            const agentId = connectionOf(call.getPeer())?.peer?.id.toString()
            release = agentId === undefined ? () => {} : take(agentId)
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
