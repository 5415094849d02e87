/** What can go wrong in the service kit. The codes are stable; the sentences are for people. */
export type ServiceErrorCode =
  | 'invalid_document'
  | 'bad_expression'
  | 'expression_failed'
  | 'invalid_environment'
  | 'invalid_service'
  | 'cannot_start'
  | 'not_published'

/** Both count from 1; columns are counted in UTF-16 units, as editors do. */
export interface Position {
  readonly line: number
  readonly column: number
}

/** One thing that is wrong with a service's document. */
export interface DocumentFault {
  /** Where in the document, such as `businessApis[0].authOptions.loginRequired`; empty for the document itself */
  readonly path: string
  readonly message: string
  /** Where in the text, when the document was text: `inventory.yaml:12:5`, or `12:5` without a file */
  readonly place?: string
  /** Where in the expression that stands at the path, when it is that which is wrong */
  readonly position?: Position
}

export interface ServiceErrorDetails {
  /** Where in the expression. */
  readonly position?: Position
  /** Every fault of the document. */
  readonly faults?: readonly DocumentFault[]
  readonly cause?: unknown
}

/** Every failure of the kit itself. Its message never holds a token, a key or a value of a request. */
export class ServiceError extends Error {
  override readonly name = 'ServiceError'
  readonly code: ServiceErrorCode
  // Declared only, so that an error without them is not printed as having them undefined.
  declare readonly position?: Position
  declare readonly faults?: readonly DocumentFault[]

  constructor(code: ServiceErrorCode, message: string, details: ServiceErrorDetails = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause })
    this.code = code
    if (details.position !== undefined) this.position = details.position
    if (details.faults !== undefined) this.faults = details.faults
  }
}
