import { mayLookAtPrograms } from '../process/capabilities.ts'
import { readCredentials } from '../process/process-state.ts'
import type { WorkloadProcess } from '../process/workload-process.ts'
import { type AccountNames, createAccountNames } from './account-names.ts'
import { type BinaryHashes, createBinaryHashes } from './binary-hashes.ts'
import { findMount } from './mount.ts'
import type { Selector, WorkloadAttestor } from './workload-attestor.ts'

/** What the kernel writes after the path of a file that has lost its name (proc_pid_exe(5)). */
const DELETED = ' (deleted)'

export interface UnixAttestorOptions {
  /** Whether the file that runs is looked at (`path`, `sha256`); it needs CAP_SYS_PTRACE for other users' processes. */
  readonly binary?: boolean
  /** Binaries above this many bytes get no `sha256`. Default 1 GiB. */
  readonly maxBinaryBytes?: number
  readonly names?: AccountNames
}

/**
 * `unix:uid|user|gid|group|supplementary_gid|supplementary_group|path|sha256`, as SPIRE's attestor of that name.
 *
 * User and group are what the kernel noted when the process connected.
 */
export function createUnixAttestor(options: UnixAttestorOptions = {}): WorkloadAttestor {
  const names = options.names ?? createAccountNames()
  const hashes = createBinaryHashes({ maxBytes: options.maxBinaryBytes })
  return {
    name: 'unix',
    async attest(process, note) {
      const values = [`uid:${process.uid}`, `gid:${process.gid}`]
      const { groups } = readCredentials(process.procPath)
      const [user, group] = [await names.user(process.uid), await names.group(process.gid)]
      if (user !== undefined) values.push(`user:${user}`)
      if (group !== undefined) values.push(`group:${group}`)
      for (const gid of groups) {
        values.push(`supplementary_gid:${gid}`)
        const name = await names.group(gid)
        if (name !== undefined) values.push(`supplementary_group:${name}`)
      }
      if (options.binary !== false) {
        try {
          values.push(...(await binaryValues(process, hashes, note)))
        } catch (error) {
          note(`the program of process ${process.pid} cannot be looked at: ${(error as Error).message}${cureOf(error)}`)
        }
      }
      return values.map((value): Selector => ({ type: 'unix', value }))
    },
  }
}

function cureOf(error: unknown): string {
  if ((error as NodeJS.ErrnoException).code !== 'EACCES') return ''
  return mayLookAtPrograms()
    ? '; the file must be one that the agent may read'
    : '; for programs of other users give the agent CAP_SYS_PTRACE'
}

/** What can be said of the file that runs; see mount.ts for why some of it may be of no worth. */
async function binaryValues(
  process: WorkloadProcess,
  hashes: BinaryHashes,
  note: (problem: string) => void,
): Promise<string[]> {
  const executable = process.openExecutable()
  try {
    const values: string[] = []
    const { path } = executable
    const mount = await findMount(executable.mountId, process.procPath)
    if (path.endsWith(DELETED)) {
      note(`${path.slice(0, -DELETED.length)} was deleted or replaced since it was started: no unix:path`)
    } else if (mount?.trustedPath) {
      values.push(`path:${path}`)
    } else {
      note(`${path} is a path in a file tree that the workload may have made itself: no unix:path`)
    }
    if (mount?.trustedContent) {
      const hash = await hashes.of(executable.descriptorPath, process.uid, process).catch((error: Error) => {
        note(`${path} cannot be hashed: ${error.message}`)
      })
      if (hash !== undefined) values.push(`sha256:${hash}`)
    } else {
      note(`${path} lies on a file system whose content the workload may make up as it is read: no unix:sha256`)
    }
    return values
  } finally {
    executable.close()
  }
}
