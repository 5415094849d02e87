import type { deserialize } from '@grpc/grpc-js'

/**
 * A request message as it came, after decompression. It is parsed only once the call is admitted, so that strangers
 * do not reach the parser, and the handler gets what was verified.
 */
export class ReceivedMessage {
  readonly bytes: Uint8Array
  readonly #parse: deserialize<unknown>

  constructor(bytes: Buffer, parse: deserialize<unknown>) {
    this.bytes = bytes
    this.#parse = parse
  }

  /** Throws whatever the message's parser throws. */
  parse(): unknown {
    return this.#parse(this.bytes as Buffer)
  }
}
