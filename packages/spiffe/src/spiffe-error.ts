export type SpiffeErrorCode =
  | 'invalid_spiffe_id'
  | 'invalid_svid'
  | 'untrusted_svid'
  | 'expired_svid'
  | 'invalid_bundle'
  | 'invalid_certificate'
  | 'invalid_csr'
  | 'unauthorized_peer'
  | 'no_identity'
  | 'unavailable'
  | 'invalid_configuration'

/**
 * The one error of this package. `code` is stable. Messages are for the log of whoever checks a credential: they quote
 * short public values on one line, never key material.
 */
export class SpiffeError extends Error {
  override readonly name = 'SpiffeError'
  readonly code: SpiffeErrorCode

  constructor(code: SpiffeErrorCode, message: string, options?: ErrorOptions) {
    super(message, options)
    this.code = code
  }
}

const longestQuote = 120

/** A value from outside as it may stand in a message: quoted, on one line, ASCII, and short. */
export function quoted(text: string): string {
  const shown = text.length > longestQuote ? `${text.slice(0, longestQuote)}...` : text
  return JSON.stringify(shown).replace(/[^\x20-\x7e]/g, '?')
}
