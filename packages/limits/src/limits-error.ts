export type LimitsErrorCode = 'invalid_limit' | 'invalid_address' | 'capacity' | 'store_unavailable'

/**
 * A limit could not be decided. Whoever asked must refuse (`capacity`, `store_unavailable`) or mend its configuration
 * (`invalid_limit`, `invalid_address`); it never means that the call may pass.
 */
export class LimitsError extends Error {
  override readonly name = 'LimitsError'
  readonly code: LimitsErrorCode

  constructor(code: LimitsErrorCode, message: string, options?: ErrorOptions) {
    super(message, options)
    this.code = code
  }
}
