import { type CallBinding, grpcBinding, serviceTokenHeaders } from '@countersign/tokens'
import { InterceptingCall, type InterceptorOptions, Metadata, status } from '@grpc/grpc-js'
import type { ServiceSigner } from '../service-token/service-signer.ts'

/** What signing a call needs of `createServiceSigner`. */
export type CallSigner = Pick<ServiceSigner, 'sign'>

type NextCall = ConstructorParameters<typeof InterceptingCall>[0]
type Listener = NonNullable<Parameters<NextCall['start']>[1]>
type MessageContext = Parameters<NextCall['sendMessageWithContext']>[0]

/**
 * One outgoing call. grpc-js sends the metadata when a call starts, and the message later; a token that covers the
 * message can only be made once the message is there. So the start of a call with one request message is held until
 * then. Calls that stream their requests start at once: their token covers the method alone.
 */
export class SigningCall extends InterceptingCall {
  readonly #next: NextCall
  readonly #options: InterceptorOptions
  readonly #sign: (binding: CallBinding) => string
  #held: { metadata: Metadata; listener: Listener; deadlineTimer?: NodeJS.Timeout } | undefined
  #ended = false

  constructor(next: NextCall, options: InterceptorOptions, sign: (binding: CallBinding) => string) {
    super(next)
    this.#next = next
    this.#options = options
    this.#sign = sign
  }

  override start(metadata: Metadata, listener: Listener = {}): void {
    this.#held = { metadata, listener }
    if (this.#options.method_definition.requestStream) this.#startSigned(null)
    else this.#held.deadlineTimer = this.#watchDeadline()
  }

  override sendMessageWithContext(context: MessageContext, message: unknown): void {
    if (this.#held) {
      const bytes = this.#serializeOnce(message)
      if (bytes !== undefined) this.#startSigned(bytes)
    }
    if (!this.#ended) this.#next.sendMessageWithContext(context, message)
  }

  override sendMessage(message: unknown): void {
    this.sendMessageWithContext({}, message)
  }

  override halfClose(): void {
    if (this.#held) this.#end(status.INTERNAL, 'The call was closed before its request message was there.')
    else if (!this.#ended) this.#next.halfClose()
  }

  override startRead(): void {
    this.#next.startRead()
  }

  /** grpc-js forgets the status of a call that never started, so that a held one must be told here. */
  override cancelWithStatus(code: status, details: string): void {
    if (this.#held) this.#end(code, details)
    else if (!this.#ended) this.#next.cancelWithStatus(code, details)
  }

  override getPeer(): string {
    return this.#next.getPeer()
  }

  override getAuthContext(): ReturnType<NextCall['getAuthContext']> {
    return this.#next.getAuthContext()
  }

  #startSigned(message: Uint8Array | null): void {
    const token = this.#tokenFor(message)
    if (token === undefined) return
    const { metadata, listener, deadlineTimer } = this.#held!
    const signed = metadata.clone()
    for (const name of serviceTokenHeaders) signed.remove(name)
    signed.set(serviceTokenHeaders[0], token)
    clearTimeout(deadlineTimer)
    this.#held = undefined
    this.#next.start(signed, listener)
  }

  #tokenFor(message: Uint8Array | null): string | undefined {
    try {
      return this.#sign(grpcBinding({ method: this.#options.method_definition.path, message }))
    } catch (error) {
      this.#end(status.INTERNAL, `The call could not be signed: ${messageOf(error)}`)
      return undefined
    }
  }

  /**
   * The bytes that are signed are the bytes that are sent: grpc-js reads `requestSerialize` from this definition,
   * which it makes for each call, when the message leaves.
   */
  #serializeOnce(message: unknown): Uint8Array | undefined {
    const definition = this.#options.method_definition
    const serialize = definition.requestSerialize
    try {
      const bytes = serialize(message)
      definition.requestSerialize = (value) => {
        if (value === message) return bytes
        throw new Error('an interceptor changed the message after it was signed; let the signing one be the last')
      }
      return bytes
    } catch (error) {
      this.#end(status.INTERNAL, `Request message serialization failure: ${messageOf(error)}`)
      return undefined
    }
  }

  #watchDeadline(): NodeJS.Timeout | undefined {
    const { deadline } = this.#options
    if (deadline === undefined || deadline === Number.POSITIVE_INFINITY) return undefined
    const delayMilliseconds = Math.max(0, Number(deadline) - Date.now())
    if (delayMilliseconds > longestTimerMilliseconds) return undefined
    return setTimeout(
      () => this.#end(status.DEADLINE_EXCEEDED, 'Deadline exceeded while waiting for the request message.'),
      delayMilliseconds,
    )
  }

  /** Ends a call that was never started: tells its listener, and frees what grpc-js keeps for it. */
  #end(code: status, details: string): void {
    const { listener, deadlineTimer } = this.#held!
    clearTimeout(deadlineTimer)
    this.#held = undefined
    this.#ended = true
    this.#next.cancelWithStatus(code, details)
    process.nextTick(() => listener.onReceiveStatus?.({ code, details, metadata: new Metadata() }))
  }
}

const longestTimerMilliseconds = 2 ** 31 - 1

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : 'unknown error'
}
