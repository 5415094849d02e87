import { ServerInterceptingCall, type ServerInterceptor, status } from '@grpc/grpc-js'
import { Openings } from './openings.ts'

/**
 * Refuses calls beyond `most`, and beyond half as many of one user, with RESOURCE_EXHAUSTED: before a byte of their
 * messages is taken in, as a message that never ends would be kept as long as its caller likes.
 * @param userOf whose call it is; throws for a connection that is closed
 */
export function limitCalls(most: number, userOf: (call: { getPeer(): string }) => number): ServerInterceptor {
  const open = new Openings(most)
  return (_method, call) => {
    let release: (() => void) | undefined
    const done = () => {
      release?.()
      release = undefined
    }
    return new ServerInterceptingCall(call, {
      start(next) {
        next({
          onReceiveMetadata(metadata, goOn) {
            release = takeFor(call)
            if (release) goOn(metadata)
            else call.sendStatus(tooMany)
          },
          onCancel: done,
        })
      },
      sendStatus(ending, next) {
        done()
        next(ending)
      },
    })
  }

  function takeFor(call: { getPeer(): string }): (() => void) | undefined {
    try {
      return open.take(userOf(call))
    } catch {
      return undefined
    }
  }
}

const tooMany = {
  code: status.RESOURCE_EXHAUSTED,
  details: 'too many calls are open at once; end some of them',
}
