export type TokenErrorCode =
  | 'malformed_token'
  | 'invalid_signature'
  | 'unknown_key'
  | 'unsupported_algorithm'
  | 'wrong_type'
  | 'expired_token'
  | 'token_not_yet_valid'
  | 'wrong_issuer'
  | 'wrong_audience'
  | 'invalid_claim'
  | 'invalid_key'
  | 'weak_key'
  | 'malformed_json'
  | 'replayed_token'
  | 'binding_mismatch'

/**
 * The one error of this package. `code` is stable; `part` names the claim, header or key member at fault.
 * Messages are for the log of whoever checks a token: they quote short public values, never key material.
 */
export class TokenError extends Error {
  override readonly name = 'TokenError'
  readonly code: TokenErrorCode
  declare readonly part?: string

  constructor(code: TokenErrorCode, message: string, part?: string) {
    super(message)
    this.code = code
    if (part !== undefined) this.part = part
  }
}

const longestQuote = 80

/** A value from a token as it may stand in a message: quoted, on one line, ASCII, and short. */
export function quoted(value: unknown): string {
  if (typeof value !== 'string') return value === null ? 'null' : Array.isArray(value) ? 'an array' : typeof value
  const text = value.length > longestQuote ? `${value.slice(0, longestQuote)}...` : value
  return JSON.stringify(text).replace(/[^\x20-\x7e]/g, '?')
}
