import type { Socket } from 'node:net'
import { WorkloadError } from '../process/workload-error.ts'
import { pinProcess, type WorkloadProcess } from '../process/workload-process.ts'
import { socketCredentials } from './socket-credentials.ts'

/**
 * The process that connected to the agent's Unix socket. To be called as soon as the connection is accepted.
 *
 * A pid alone may be of another process by the time it is looked up (it ended, the number was given again). The kernel's
 * handle of the process that connected (SO_PEERPIDFD, Linux 6.5) is asked after the start time was read: if it is still
 * there, the start time was its own. Older kernels leave the time between connect and accept unguarded.
 *
 * @throws WorkloadError `unknown_peer`, `hidden_process`, `ended_process`, `changed_process`
 */
export function peerOf(socket: Socket, options: { procRoot?: string } = {}): WorkloadProcess {
  const credentials = socketCredentials(socket)
  try {
    const pinned = pinProcess(credentials, options.procRoot)
    if (credentials.stillThere() === false) {
      throw new WorkloadError('ended_process', `process ${credentials.pid} ended as soon as it had connected`)
    }
    return pinned
  } finally {
    credentials.release()
  }
}
