import { readFile, readlink } from 'node:fs/promises'

/** What the mount that a file lies on says of that file. */
export interface Mount {
  /** False where the process can have given the file its path: any user may build a file tree in a user namespace. */
  readonly trustedPath: boolean
  /** False where a program answers for the content of files (FUSE), and may answer each reader differently. */
  readonly trustedContent: boolean
}

/**
 * Finds a mount by the kernel's number for it, in the agent's own mount namespace or in that of a process.
 *
 * A user who may do nothing else can make a user namespace, mount what he likes over `/usr/bin/approved` in it, and run
 * that: the kernel then names this path. So a path counts where the mount is the agent's own, or belongs to the mount
 * namespace of a process that is in the agent's user namespace, where mounting takes a privilege. Undefined for a mount
 * that is in neither namespace (a file run through `/proc/OTHER/root`, a detached mount).
 */
export async function findMount(mountId: string, procPath: string): Promise<Mount | undefined> {
  const own = fileSystemOf(mountId, await readFile('/proc/self/mountinfo', 'utf8'))
  if (own !== undefined) return { trustedPath: true, trustedContent: !isFuse(own) }
  const fileSystem = fileSystemOf(mountId, await readFile(`${procPath}/mountinfo`, 'utf8'))
  if (fileSystem === undefined) return undefined
  const trustedPath = (await readlink('/proc/self/ns/user')) === (await readlink(`${procPath}/ns/user`))
  // An overlay that was mounted in a user namespace may have FUSE beneath it.
  return { trustedPath, trustedContent: !isFuse(fileSystem) && (trustedPath || fileSystem !== 'overlay') }
}

/** The file system type of a mount in the text of `/proc/PID/mountinfo` (proc_pid_mountinfo(5)). */
function fileSystemOf(mountId: string, mountInfo: string): string | undefined {
  const line = mountInfo.split('\n').find((each) => each.startsWith(`${mountId} `))
  return line?.split(' - ')[1]?.split(' ')[0]
}

function isFuse(fileSystem: string): boolean {
  return fileSystem.startsWith('fuse')
}
