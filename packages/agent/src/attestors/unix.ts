import { readlink, stat } from 'node:fs/promises'
import { readCredentials } from '../process/process-state.ts'
import type { WorkloadProcess } from '../process/workload-process.ts'
import { type AccountNames, createAccountNames } from './account-names.ts'
import { type BinaryHashes, createBinaryHashes } from './binary-hashes.ts'
import type { Selector, WorkloadAttestor } from './workload-attestor.ts'

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
      const { groups } = readCredentials(process.pid, process.procPath.slice(0, process.procPath.lastIndexOf('/')))
      const [user, group] = [await names.user(process.uid), await names.group(process.gid)]
      if (user !== undefined) values.push(`user:${user}`)
      if (group !== undefined) values.push(`group:${group}`)
      for (const gid of groups) {
        values.push(`supplementary_gid:${gid}`)
        const name = await names.group(gid)
        if (name !== undefined) values.push(`supplementary_group:${name}`)
      }
      if (options.binary !== false) values.push(...(await binaryValues(process, hashes, note)))
      return values.map((value): Selector => ({ type: 'unix', value }))
    },
  }
}

async function binaryValues(
  process: WorkloadProcess,
  hashes: BinaryHashes,
  note: (problem: string) => void,
): Promise<string[]> {
  const link = `${process.procPath}/exe`
  const values: string[] = []
  try {
    const path = await readlink(link)
    // The kernel writes the same suffix for a file that was deleted or replaced; a file may also be named so.
    if (path.endsWith(' (deleted)') && (await isGone(link, path))) {
      note(
        `${path.slice(0, -' (deleted)'.length)} was deleted or replaced since process ${process.pid} started; no unix:path`,
      )
    } else {
      values.push(`path:${path}`)
    }
    values.push(`sha256:${await hashes.of(link)}`)
  } catch (error) {
    note(`the binary of process ${process.pid} cannot be read: ${(error as Error).message}`)
  }
  return values
}

async function isGone(link: string, path: string): Promise<boolean> {
  const [running, named] = await Promise.all([stat(link), stat(path).catch(() => undefined)])
  return named?.ino !== running.ino || named?.dev !== running.dev
}
