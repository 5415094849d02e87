/** Another language's runtime, or what it needs, is not to be had; the message says how to get it. */
export class MissingRuntime extends Error {
  override readonly name = 'MissingRuntime'
  /** No registry has it, so CI cannot be asked to have it either */
  readonly isOptional: boolean

  constructor(message: string, { isOptional = false } = {}) {
    super(message)
    this.isOptional = isOptional
  }
}
