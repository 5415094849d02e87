/**
 * A refusal that whoever calls may read: RFC 9457 over REST, a status over gRPC, the headers of a dead letter over Kafka.
 * Handlers throw it to answer with a sentence of their own; anything else that they throw is logged and not shown.
 */
export class Problem extends Error {
  override readonly name = 'Problem'
  /** As in HTTP: 400, 403, 404, 409, 422, ... */
  readonly status: number
  /** For programs: `out_of_stock`. */
  readonly code: string
  readonly extra: Readonly<Record<string, unknown>>

  /** @param detail a sentence that says what to do next */
  constructor(status: number, code: string, detail: string, extra: Record<string, unknown> = {}) {
    super(detail)
    this.status = Number.isInteger(status) && status >= 400 && status <= 599 ? status : 500
    this.code = code
    this.extra = extra
  }
}
