import type { Socket } from 'node:net'
import { WorkloadError } from '../process/workload-error.ts'
import type { WorkloadProcess } from '../process/workload-process.ts'

/** What of a gRPC call is needed here: grpc-js answers `getPeer` with the `remoteAddress` of its socket. */
interface CallWithPeer {
  getPeer(): string
}

export interface CallPeers {
  /** Notes whose connection this is; before the socket is given to grpc-js. */
  remember(socket: Socket, process: WorkloadProcess): void
  /** @throws WorkloadError `unknown_peer` */
  of(call: CallWithPeer): WorkloadProcess
}

/**
 * Carries the process from an accepted socket to the gRPC calls that come over it.
 *
 * grpc-js hides the socket from a call and shows one text of it, the remote address, which a Unix socket lacks: so it is
 * given one that only this table knows.
 */
export function createCallPeers(): CallPeers {
  const processes = new Map<string, WorkloadProcess>()
  let count = 0
  return {
    remember(socket, process) {
      const address = `workload-connection-${++count}`
      Object.defineProperty(socket, 'remoteAddress', { value: address })
      processes.set(address, process)
      socket.once('close', () => processes.delete(address))
    },
    of(call) {
      const process = processes.get(call.getPeer())
      if (process === undefined) {
        throw new WorkloadError(
          'unknown_peer',
          'the connection of this call was closed before it could be asked who called',
        )
      }
      return process
    },
  }
}
