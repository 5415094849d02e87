import { closeSync, openSync, readFileSync, readlinkSync } from 'node:fs'

/** The file that a process runs, held by a descriptor, so that all that is read of it is of one file. */
export interface Executable {
  /** Its path in the file tree of the process, as the kernel writes it: ` (deleted)` stands at the end of what is gone. */
  readonly path: string
  /** Mount and inode; another file has another one. */
  readonly identity: string
  readonly mountId: string
  /** A path by which the agent reads the file, whatever became of its name. */
  readonly descriptorPath: string
  close(): void
}

/** Opens a file for its name alone (open(2)): nothing is asked of the file system it lies on. */
const O_PATH = 0o10000000

/**
 * Takes hold of the file that a process runs.
 *
 * It must not touch the file's own file system: that may be one of the workload's making (FUSE), which would keep the
 * agent waiting for ever. So there is no stat(2) here; the kernel's own notes of the descriptor say which file it is.
 *
 * @throws Error of node:fs, `EACCES` where the agent may not look (CAP_SYS_PTRACE)
 */
export function openExecutable(procPath: string): Executable {
  const descriptor = openSync(`${procPath}/exe`, O_PATH)
  try {
    const notes = readFileSync(`/proc/self/fdinfo/${descriptor}`, 'utf8')
    const [mountId, inode] = [/^mnt_id:\s*(\d+)$/m.exec(notes)?.[1], /^ino:\s*(\d+)$/m.exec(notes)?.[1]]
    if (mountId === undefined || inode === undefined) {
      throw new Error('the kernel does not say which file it is (Linux 5.14 or newer is needed)')
    }
    const descriptorPath = `/proc/self/fd/${descriptor}`
    return {
      path: readlinkSync(descriptorPath),
      identity: `${mountId}:${inode}`,
      mountId,
      descriptorPath,
      close: () => closeSync(descriptor),
    }
  } catch (error) {
    closeSync(descriptor)
    throw error
  }
}

/** Which file a process runs; undefined where the agent may not look. */
export function executableIdentity(procPath: string): string | undefined {
  try {
    const executable = openExecutable(procPath)
    executable.close()
    return executable.identity
  } catch {
    return undefined
  }
}
