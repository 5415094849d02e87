export type ServiceErrorCode =
  | 'invalid_document'
  | 'bad_expression'
  | 'invalid_environment'
  | 'invalid_service'
  | 'cannot_start'

/** The service cannot be built or started as it was described. Thrown before any call is taken. */
export class ServiceError extends Error {
  override readonly name = 'ServiceError'
  readonly code: ServiceErrorCode

  constructor(code: ServiceErrorCode, message: string, options?: ErrorOptions) {
    super(message, options)
    this.code = code
  }
}
