import { redactSecrets } from '../audit/storable.ts'

export type OAuthErrorCode =
  | 'invalid_request'
  | 'invalid_client'
  | 'invalid_grant'
  | 'invalid_scope'
  | 'invalid_target'
  | 'unauthorized_client'
  | 'unsupported_grant_type'
  | 'unsupported_token_type'
  | 'invalid_token'
  | 'insufficient_scope'
  | 'temporarily_unavailable'

/** What an OAuth endpoint answers when it refuses (RFC 6749 section 5.2), and what only the audit event is told. */
export class OAuthError extends Error {
  readonly code: OAuthErrorCode
  readonly status: number
  readonly headers: Record<string, string>
  /** The whole truth, for the operator: never part of the answer */
  readonly reason: string

  /** @param description goes to the caller: no secret, nothing that tells whether a client exists */
  constructor(
    code: OAuthErrorCode,
    description: string,
    options: { status?: number; headers?: Record<string, string>; reason?: string } = {},
  ) {
    super(description)
    this.name = 'OAuthError'
    this.code = code
    this.status = options.status ?? (code === 'invalid_client' ? 401 : 400)
    this.headers = options.headers ?? {}
    this.reason = options.reason ?? description
  }

  toJSON(): { error: string; error_description: string } {
    // RFC 6749 section 5.2 allows printable ASCII but neither `"` nor `\` here.
    return { error: this.code, error_description: redactSecrets(this.message).replaceAll(/["\\]|[^\x20-\x7e]/g, "'") }
  }
}
