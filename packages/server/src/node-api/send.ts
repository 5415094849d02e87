import type { ServerDuplexStream } from '@grpc/grpc-js'

const stuckMilliseconds = 30_000

/** Sends one message after the other, at the pace of who receives them; one who takes none for long is cut off. */
export function sendWith<T>(call: ServerDuplexStream<unknown, T>): (message: T) => Promise<void> {
  return async (message) => {
    if (call.cancelled) return
    if (call.write(message)) return
    await new Promise<void>((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error('the receiver takes nothing')), stuckMilliseconds)
      const done = () => {
        clearTimeout(timer)
        for (const event of ['drain', 'cancelled', 'close']) call.off(event, done)
        resolve()
      }
      for (const event of ['drain', 'cancelled', 'close']) call.on(event, done)
    })
  }
}
