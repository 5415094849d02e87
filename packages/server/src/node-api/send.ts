import type { ServerDuplexStream } from '@grpc/grpc-js'

const stuckMilliseconds = 30_000

/** Sends one message after the other, at the pace of who receives them; one who takes none for long is cut off. */
export function sendWith<T>(call: ServerDuplexStream<unknown, T>): (message: T) => Promise<void> {
  return (message) =>
    new Promise<void>((resolve, reject) => {
      if (call.cancelled) return resolve()
      const timer = setTimeout(() => done(new Error('the receiver takes nothing')), stuckMilliseconds)
      const gone = () => done()
      const done = (error?: Error | null) => {
        clearTimeout(timer)
        for (const event of ['cancelled', 'close']) call.off(event, gone)
        if (error && !call.cancelled) reject(error)
        else resolve()
      }
      for (const event of ['cancelled', 'close']) call.on(event, gone)
      call.write(message, done)
    })
}
