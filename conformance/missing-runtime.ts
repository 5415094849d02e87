/** Another language's runtime, or what it needs, is not to be had; the message says how to get it. */
export class MissingRuntime extends Error {
  override readonly name = 'MissingRuntime'
}
