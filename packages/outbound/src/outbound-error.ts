export type OutboundErrorCode =
  | 'blocked_address'
  | 'blocked_url'
  | 'too_large'
  | 'timed_out'
  | 'bad_status'
  | 'redirected'
  | 'unreachable'
  | 'bad_document'

/**
 * Why a document could not be had from another host.
 *
 * The message names the URL without its query and never the address it resolved to, so that it may be shown to whoever
 * registered the URL; `address` and `status` are for the log.
 */
export class OutboundError extends Error {
  override readonly name = 'OutboundError'
  readonly code: OutboundErrorCode
  readonly address: string | undefined
  readonly status: number | undefined

  constructor(
    code: OutboundErrorCode,
    message: string,
    details: { cause?: unknown; address?: string; status?: number } = {},
  ) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause })
    this.code = code
    this.address = details.address
    this.status = details.status
  }
}
