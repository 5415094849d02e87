import { closeSync, readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import type { Socket } from 'node:net'
import { WorkloadError } from '../process/workload-error.ts'

const SOL_SOCKET = 1
const SO_PEERCRED = 17
const SO_PEERPIDFD = 77

export interface SocketCredentials {
  readonly pid: number
  readonly uid: number
  readonly gid: number
  /**
   * Whether the process that connected is still there under its pid. Undefined on kernels before 6.5, which cannot tell
   * it from another one that got the pid since.
   */
  stillThere(): boolean | undefined
  /** Gives back what `stillThere` holds. */
  release(): void
}

/**
 * Who is at the other end of a Unix socket, as the kernel noted when it connected (SO_PEERCRED, unix(7)).
 *
 * @throws WorkloadError `unknown_peer`
 */
export function socketCredentials(socket: Socket): SocketCredentials {
  const descriptor = descriptorOf(socket)
  const [pid, uid, gid] = peerOption(descriptor, SO_PEERCRED, 3)
  if (pid === undefined || uid === undefined || gid === undefined) {
    throw new WorkloadError('unknown_peer', 'the kernel does not say who is at the other end of the socket')
  }
  if (pid === 0) {
    throw new WorkloadError(
      'unknown_peer',
      'the process that called lives in a pid namespace that this agent does not see; give the agent that of the host (hostPID: true)',
    )
  }
  const [pidDescriptor] = peerOption(descriptor, SO_PEERPIDFD, 1)
  return {
    pid,
    uid,
    gid,
    stillThere: () => (pidDescriptor === undefined ? undefined : pidOf(pidDescriptor) === pid),
    release: () => {
      if (pidDescriptor !== undefined) closeSync(pidDescriptor)
    },
  }
}

/** Node has no API for the descriptor of a socket: this is its internal handle, which a test holds on to. */
export function descriptorOf(socket: Socket): number {
  const descriptor = (socket as Socket & { _handle?: { fd?: number } })._handle?.fd
  if (descriptor === undefined || descriptor < 0) {
    throw new WorkloadError('unknown_peer', 'the connection was closed before it could be asked who called')
  }
  return descriptor
}

/** `Pid` of a pidfd: -1 once the process has ended and was reaped (pidfd_open(2)). */
function pidOf(pidDescriptor: number): number {
  return Number(/^Pid:\s*(-?\d+)$/m.exec(readFileSync(`/proc/self/fdinfo/${pidDescriptor}`, 'utf8'))?.[1])
}

type GetSocketOption = (descriptor: number, level: number, option: number, value: Buffer, length: number[]) => number
let getSocketOption: GetSocketOption | undefined

/** The 32-bit words of a socket option; none when the kernel does not know it. */
function peerOption(descriptor: number, option: number, words: number): number[] {
  getSocketOption ??= loadGetSocketOption()
  const value = Buffer.alloc(words * 4)
  const length = [value.length]
  if (getSocketOption(descriptor, SOL_SOCKET, option, value, length) !== 0) return []
  return Array.from({ length: (length[0] as number) >> 2 }, (_, index) =>
    index === 0 ? value.readInt32LE(0) : value.readUInt32LE(index * 4),
  )
}

/** Loaded with the first call: koffi takes some megabytes, and nobody else needs it. */
function loadGetSocketOption(): GetSocketOption {
  const koffi = createRequire(import.meta.url)('koffi') as typeof import('koffi')
  const declaration = 'int getsockopt(int socket, int level, int name, _Out_ void *value, _Inout_ uint32_t *length)'
  return koffi.load(null).func(declaration) as unknown as GetSocketOption
}
