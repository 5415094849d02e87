import { OpenCounts } from '@countersign/limits/open-counts'
import { ServerInterceptingCall, type ServerInterceptor, status } from '@grpc/grpc-js'
import { Turns } from './turns.ts'

/**
 * Lets calls begin in turns, so that one user's do not hold up all others'. Refuses calls beyond `most`, and beyond half as
 * many of one user, with RESOURCE_EXHAUSTED: before a byte of their messages is taken in, as a message that never ends
 * would be kept as long as its caller likes.
 * @param userOf whose call it is; throws for a connection that is closed
 */
export function limitCalls(most: number, userOf: (call: { getPeer(): string }) => number): ServerInterceptor {
  const open = new OpenCounts<number>({ one: most / 2, all: most })
  const turns = new Turns()
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
            const user = userOfOpen(call)
            release = user === undefined ? undefined : open.take(user)
            if (release === undefined) call.sendStatus(tooMany)
            // One that has ended while it waited does not begin: nothing would end what it begins.
            else turns.enter(user as number, () => release && goOn(metadata))
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

  function userOfOpen(call: { getPeer(): string }): number | undefined {
    try {
      return userOf(call)
    } catch {
      return undefined
    }
  }
}

const tooMany = {
  code: status.RESOURCE_EXHAUSTED,
  details: 'too many calls are open at once; end some of them',
}
