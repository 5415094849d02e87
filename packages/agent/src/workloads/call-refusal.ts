import { status } from '@grpc/grpc-js'
import { reasonOf } from '../agent-error.ts'
import type { AgentLog } from '../agent-log.ts'
import type { WorkloadProcess } from '../process/workload-process.ts'

/** What a workload's call ends with. The message is the workload's to read and says nothing of entries or policies. */
export class CallRefusal extends Error {
  readonly code: status
  readonly details: string
  constructor(code: status, details: string) {
    super(details)
    this.name = 'CallRefusal'
    this.code = code
    this.details = details
  }
}

/** No entry is the caller's, or its policy keeps it from all that are. */
export const noIdentity = () => new CallRefusal(status.PERMISSION_DENIED, 'no identity issued')

/** Whatever went wrong as an answer; what is no refusal is told to the operator only. */
export function asRefusal(error: unknown, log: AgentLog, process?: WorkloadProcess): CallRefusal {
  if (error instanceof CallRefusal) return error
  log.warn(
    { ...(process && { pid: process.pid, uid: process.uid }), reason: reasonOf(error) },
    'a workload could not be served',
  )
  return new CallRefusal(status.UNAVAILABLE, 'the agent cannot tell now; try again')
}
