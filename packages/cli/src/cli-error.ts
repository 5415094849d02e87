/** A failure told in one sentence with its cure. `exitCode` 1: the operation failed; 2: the command was used wrongly. */
export class CliError extends Error {
  override readonly name = 'CliError'
  readonly exitCode: 1 | 2

  /** What it was, where another part of this program wants to know; such as an OAuth error code */
  readonly reason?: string

  constructor(message: string, exitCode: 1 | 2 = 1, reason?: string) {
    super(message)
    this.exitCode = exitCode
    if (reason !== undefined) this.reason = reason
  }
}

export function wrongUse(message: string): CliError {
  return new CliError(message, 2)
}
