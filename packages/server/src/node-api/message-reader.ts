import type { ServerDuplexStream } from '@grpc/grpc-js'

/** The messages of a stream, one at a time: what is not asked for stays with the sender. */
export interface MessageReader<T> {
  /** Undefined when the sender has ended or gone. */
  next(): Promise<T | undefined>
}

/** @param milliseconds how long to wait for a message that is asked for; then it counts as if the sender had gone */
export function readMessages<T>(call: ServerDuplexStream<T, unknown>, milliseconds: number): MessageReader<T> {
  const received: T[] = []
  let ended = false
  let wake: (() => void) | undefined
  const end = () => {
    ended = true
    wake?.()
  }
  call.pause()
  call.on('data', (message: T) => {
    received.push(message)
    call.pause()
    wake?.()
  })
  for (const event of ['end', 'cancelled', 'error', 'close']) call.on(event, end)
  return {
    async next() {
      if (received.length === 0 && !ended && !call.cancelled) {
        const timer = setTimeout(end, milliseconds)
        call.resume()
        await new Promise<void>((resolve) => {
          wake = resolve
        })
        clearTimeout(timer)
      }
      return received.shift()
    },
  }
}
