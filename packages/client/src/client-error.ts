/** What can go wrong on the calling side. The codes are stable; the sentences are for people. */
export type ClientErrorCode =
  | 'invalid_configuration'
  | 'invalid_client'
  | 'invalid_scope'
  | 'invalid_target'
  | 'invalid_request'
  | 'unauthorized_client'
  | 'refused'
  | 'rate_limited'
  | 'unavailable'
  | 'unreachable'
  | 'timed_out'
  | 'redirected'
  | 'bad_answer'
  | 'bad_metadata'
  | 'store_failed'
  | 'closed'
  | 'unknown_service'
  | 'body_not_signable'
  | 'token_given'

export interface ClientErrorDetails {
  /** HTTP status of the answer that caused this. */
  status?: number
  /** How long the server asked to be left alone. */
  retryAfterSeconds?: number
}

/**
 * Every failure of this package. It never carries a `cause`: what a network stack or a store throws may hold
 * the request, and the request holds the secret.
 */
export class ClientError extends Error {
  override readonly name = 'ClientError'
  readonly code: ClientErrorCode
  // Declared only, so that an error without them is not printed as having them undefined.
  declare readonly status?: number
  declare readonly retryAfterSeconds?: number

  constructor(code: ClientErrorCode, message: string, details: ClientErrorDetails = {}) {
    super(message)
    this.code = code
    if (details.status !== undefined) this.status = details.status
    if (details.retryAfterSeconds !== undefined) this.retryAfterSeconds = details.retryAfterSeconds
  }
}
