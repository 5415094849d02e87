import { readFileSync } from 'node:fs'

/** What the kernel says of a process now; two readings are of the same process when `startTime` is the same. */
export interface ProcessState {
  /** Clock ticks since boot at which it started, as `/proc/PID/stat` writes them. */
  readonly startTime: string
  /** True when no thread of it runs any more: it only waits for its parent to look. */
  readonly ended: boolean
}

/** Reads `/proc/PID/stat`; undefined when there is no such process, or this agent may not see it. */
export function readProcessState(procPath: string): ProcessState | undefined {
  try {
    return parseProcessState(readFileSync(`${procPath}/stat`, 'utf8'))
  } catch {
    return undefined
  }
}

/**
 * Reads the text of `/proc/PID/stat` (proc_pid_stat(5)).
 *
 * The second field is a name that the process chooses, spaces, newlines and `)` included, so the fields are counted
 * from its last parenthesis.
 */
export function parseProcessState(text: string): ProcessState | undefined {
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ')
  const [state, startTime, threads] = [fields[0], fields[19], Number(fields[17])]
  if (!state || !startTime || !/^\d+$/.test(startTime)) return undefined
  // The first thread may end before the others: the process then shows as a zombie, and lives.
  return { startTime, ended: 'ZXx'.includes(state) && threads <= 1 }
}

export interface Credentials {
  readonly uid: number
  readonly gid: number
  readonly groups: readonly number[]
}

/** The effective user and group of a process and its other groups, from `/proc/PID/status`. */
export function readCredentials(procPath: string): Credentials {
  // The process chooses its name; the kernel escapes newlines in it, so that it cannot write lines of its own here.
  const status = readFileSync(`${procPath}/status`, 'utf8')
  const numbers = (name: string) =>
    (new RegExp(`^${name}:([\\t \\d]*)$`, 'm').exec(status)?.[1] ?? '').split(/\D+/).filter(Boolean).map(Number)
  const [uid, gid] = [numbers('Uid')[1], numbers('Gid')[1]]
  if (uid === undefined || gid === undefined) throw new Error(`${procPath}/status names no user and group`)
  return { uid, gid, groups: numbers('Groups') }
}
