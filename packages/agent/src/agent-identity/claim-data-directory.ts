import { createServer } from 'node:net'
import { join } from 'node:path'
import { AgentError, reasonOf } from '../agent-error.ts'
import type { AgentLog } from '../agent-log.ts'
import { listenOnSocketFile, SocketInUse } from '../sockets/socket-file.ts'

/**
 * Keeps another agent off a data directory: each would renew the identity that both have, and with that end the other's.
 * The mark is a socket, which is nobody's as soon as its process has ended, however that came.
 * @returns a function that gives the directory free
 * @throws AgentError `invalid_configuration` when another agent uses it
 */
export async function claimDataDirectory(folder: string, log: AgentLog): Promise<() => Promise<void>> {
  try {
    return await listenOnSocketFile(createServer(), join(folder, 'in-use.sock'), { mode: 0o600 })
  } catch (error) {
    if (error instanceof SocketInUse)
      throw new AgentError(
        'invalid_configuration',
        `another agent uses the data directory ${folder}; stop it, or give this one a directory of its own`,
      )
    // A disk that is full or may not be written on is no reason to leave this node's workloads alone.
    log.warn({ reason: reasonOf(error) }, 'another agent cannot be kept off the data directory')
    return async () => {}
  }
}
