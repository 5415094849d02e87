/** Nothing can be issued just now; what was issued goes on being verified. The message says what to do. */
export class CaUnavailable extends Error {
  readonly code = 'ca_unavailable'
  constructor(message: string, options?: ErrorOptions) {
    super(message, options)
    this.name = 'CaUnavailable'
  }
}
