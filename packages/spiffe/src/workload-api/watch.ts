import { BackOff } from '@countersign/outbound/back-off'
import { type ClientReadableStream, status } from '@grpc/grpc-js'
import { SpiffeError } from '../spiffe-error.ts'
import { callError } from './call-error.ts'

export interface WatchOptions<Message> {
  /** Where the agent is, for messages. */
  target: string
  open: () => ClientReadableStream<Message>
  onMessage: (message: Message) => void
  onError: (error: SpiffeError) => void
  backOff?: BackOff
}

/**
 * Keeps a stream of the Workload API open until it is closed: when it ends, for whatever reason, it is opened again
 * after a while. A message that cannot be used is told to `onError` and the stream goes on; what was received before
 * it stays in force.
 */
export function watchStream<Message>(options: WatchOptions<Message>): () => void {
  const backOff = options.backOff ?? new BackOff()
  let stream: ClientReadableStream<Message> | undefined
  let timer: NodeJS.Timeout | undefined
  let closed = false

  const open = () => {
    stream = options.open()
    let over = false
    const end = (error: unknown) => {
      if (over) return
      over = true
      if (closed) return
      options.onError(callError(error, options.target))
      if (closed) return
      timer = setTimeout(open, backOff.failed())
    }
    stream.on('data', (message: Message) => {
      if (closed) return
      try {
        options.onMessage(message)
        backOff.succeeded()
      } catch (error) {
        options.onError(unusable(error))
      }
    })
    stream.on('error', end)
    // A stream of the Workload API never ends by itself, so one that does is an agent going away.
    stream.on('status', () => end({ code: status.UNAVAILABLE, details: 'the agent ended the stream' }))
  }
  open()

  return () => {
    closed = true
    clearTimeout(timer)
    stream?.cancel()
  }
}

function unusable(error: unknown): SpiffeError {
  if (error instanceof SpiffeError) return error
  return new SpiffeError('invalid_configuration', `a listener failed on an update of the Workload API: ${error}`, {
    cause: error,
  })
}
