import { createServer, type Socket } from 'node:net'
import { OpenCounts } from '@countersign/limits/open-counts'
import { type Server as GrpcServer, ServerCredentials } from '@grpc/grpc-js'
import { reasonOf } from '../agent-error.ts'
import type { AgentLog } from '../agent-log.ts'
import { peerOf } from '../peer/peer-of.ts'
import type { CallPeers } from '../peer/peer-of-call.ts'
import { listenOnSocketFile } from './socket-file.ts'

/** Of all workloads together, half of them of one user, and of one process: any local user may connect. */
const mostConnections = 2_000
const mostConnectionsOfOne = 100

/** How long calls under way have when the agent stops. */
const drainMilliseconds = 2_000

/** Everybody on the machine may connect; who they are the kernel says. */
const openToAll = 0o777

/**
 * Serves gRPC on a Unix socket, each connection with the process at its other end known before its first byte is read.
 * @returns a function that ends all connections and removes the socket
 */
export async function serveWorkloadSocket(
  server: GrpcServer,
  path: string,
  options: { peers: CallPeers; log: AgentLog; anyWay?: boolean | undefined },
): Promise<() => Promise<void>> {
  const injector = server.createConnectionInjector(ServerCredentials.createInsecure())
  const ofProcess = new OpenCounts<number>({ one: mostConnectionsOfOne })
  const ofUser = new OpenCounts<number>({ one: mostConnections / 2, all: mostConnections })
  const sockets = new Set<Socket>()

  const accept = (socket: Socket) => {
    socket.on('error', () => {})
    try {
      const process = peerOf(socket)
      const opened = [ofProcess.take(process.pid), ofUser.take(process.uid)]
      for (const release of opened) if (release) socket.once('close', release)
      if (opened.includes(undefined)) {
        throw new Error(`process ${process.pid} of user ${process.uid} opens too many connections`)
      }
      sockets.add(socket)
      socket.once('close', () => sockets.delete(socket))
      options.peers.remember(socket, process)
      injector.injectConnection(socket)
    } catch (error) {
      options.log.warn({ reason: reasonOf(error) }, 'a connection to the agent was refused')
      socket.destroy()
    }
  }
  const listener = createServer(accept)
  const close = await listenOnSocketFile(listener, path, { mode: openToAll, anyWay: options.anyWay })
  return async () => {
    // The path is gone at once; calls under way may end.
    const closed = close()
    injector.drain(drainMilliseconds)
    const giveUp = setTimeout(() => {
      for (const socket of sockets) socket.destroy()
    }, drainMilliseconds)
    await closed
    clearTimeout(giveUp)
  }
}
