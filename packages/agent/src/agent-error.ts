import { grpcCode } from './server-connection/call-failure.ts'
import { connectionFailure } from './server-connection/connection-failure.ts'

/**
 * What went wrong in the agent.
 * - `invalid_configuration`: a setting cannot be used, or is unsafe; nothing was started
 * - `attestation_refused`: the server will not have this node; another try with the same credential is pointless
 * - `node_removed`: the server banned, evicted or forgot this node
 * - `unavailable`: the server, or what a workload is attested with, could not be asked; trying again may help
 * - `invalid_answer`: the server sent what no server may send
 */
export type AgentErrorCode =
  | 'invalid_configuration'
  | 'attestation_refused'
  | 'node_removed'
  | 'unavailable'
  | 'invalid_answer'

export class AgentError extends Error {
  readonly code: AgentErrorCode
  constructor(code: AgentErrorCode, message: string, options?: ErrorOptions) {
    super(message, options)
    this.name = 'AgentError'
    this.code = code
  }
}

/** The message of whatever was thrown, for a log line; of a call to the server, why it could not be reached. */
export function reasonOf(error: unknown): string {
  const message = error instanceof Error ? error.message : String(error)
  return grpcCode(error) === undefined ? message : connectionFailure(message)
}
