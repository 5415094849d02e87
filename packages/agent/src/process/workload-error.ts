export type WorkloadErrorCode = 'unknown_peer' | 'hidden_process' | 'ended_process' | 'changed_process'

/** Why a process at the agent's socket cannot be told who it is. The message is for the operator, not for the process. */
export class WorkloadError extends Error {
  override readonly name = 'WorkloadError'
  readonly code: WorkloadErrorCode

  constructor(code: WorkloadErrorCode, message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause })
    this.code = code
  }
}
