import type { sendUnaryData } from '@grpc/grpc-js'
import { Metadata, status } from '@grpc/grpc-js'
import type { AnyCall, AnyHandler } from './guarded-handler.ts'
import type { GrpcRefusal } from './refusal.ts'

export interface QuietResponder {
  refuse(refusal: GrpcRefusal): void
  /** Calls the handler; whatever it throws, now or later, becomes INTERNAL without details. */
  run(handler: AnyHandler): Promise<void>
}

/**
 * Answers a call, once. grpc-js sends the message of any error that a handler passes on, and ends the process when an
 * async handler rejects. Here only a status that was meant as one (a numeric gRPC code) reaches the caller; everything
 * else goes to `onError`.
 */
export function quietResponder(
  call: AnyCall,
  callback: sendUnaryData<unknown> | undefined,
  method: string,
  onError: (error: unknown, method: string) => void = printError,
): QuietResponder {
  let answered = false
  const emit = call.emit.bind(call)
  const destroy = call.destroy?.bind(call)

  const answer: sendUnaryData<unknown> = (error, ...rest) => {
    if (answered) return
    answered = true
    if (error) callback!(meantStatus(error) ?? failed(error), null, rest[1])
    else callback!(null, ...rest)
  }
  if (callback === undefined) {
    let first: object | undefined
    call.emit = (event: string | symbol, ...values: unknown[]) => {
      if (event !== 'error') return emit(event, ...values)
      answered = true
      // Whatever comes later, such as the end of a loop over a refused stream, must not take the place of the answer.
      first ??= meantStatus(values[0]) ?? failed(values[0])
      return emit(event, first)
    }
    // grpc-js cannot send the status of a destroyed stream, and pipeline() destroys it with what its source failed with.
    call.destroy = (error?: Error) => {
      if (error === undefined || answered || call.cancelled) return destroy(error)
      call.emit('error', error)
      return call
    }
  }

  return { refuse, run }

  function refuse(refusal: GrpcRefusal): void {
    if (answered) return
    if (callback === undefined) call.emit('error', toStatus(refusal))
    else answer(toStatus(refusal))
  }

  async function run(handler: AnyHandler): Promise<void> {
    try {
      await handler(call, answer)
    } catch (error) {
      if (!answered) refuse(failed(error))
    }
  }

  function failed(error: unknown): GrpcRefusal {
    try {
      // Loops over the messages of a call that was cancelled end with an error that is nobody's fault.
      if (!call.cancelled) onError(error, method)
    } catch {
      // What listens must not be able to change the answer.
    }
    return handlerFailed
  }
}

/** The status that a handler answers with on purpose; undefined for errors of any other kind. */
function meantStatus(error: unknown): { code: status; details: string } | undefined {
  const code = (error as { code?: unknown } | undefined)?.code
  return typeof code === 'number' && code !== status.OK && status[code] !== undefined
    ? (error as { code: status; details: string })
    : undefined
}

function toStatus({ code, details, trailers }: GrpcRefusal): { code: status; details: string; metadata: Metadata } {
  const metadata = new Metadata()
  for (const [name, value] of Object.entries(trailers ?? {})) metadata.set(name, value)
  return { code, details, metadata }
}

const handlerFailed: GrpcRefusal = { code: status.INTERNAL, details: 'The method failed.' }

function printError(error: unknown, method: string): void {
  console.error(`the gRPC method ${method} failed:`, error)
}
