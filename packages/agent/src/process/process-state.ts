import { readFileSync, statSync } from 'node:fs'

/** What the kernel says of a process now; two readings are of the same process when `startTime` is the same. */
export interface ProcessState {
  /** Clock ticks since boot at which it started, as `/proc/PID/stat` writes them. */
  readonly startTime: string
  /** True when no thread of it runs any more: it only waits for its parent to look. */
  readonly ended: boolean
}

/** Reads `/proc/PID/stat`; undefined when there is no such process, or this agent may not see it. */
export function readProcessState(pid: number, procRoot = '/proc'): ProcessState | undefined {
  try {
    return parseProcessState(readFileSync(`${procRoot}/${pid}/stat`, 'utf8'))
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

/** The effective user and group of a process, from `/proc/PID/status`. */
export function readCredentials(pid: number, procRoot = '/proc'): { uid: number; gid: number; groups: number[] } {
  // The name is escaped here (a newline becomes `\n`), so that no line can be forged by it.
  const status = readFileSync(`${procRoot}/${pid}/status`, 'utf8')
  const numbers = (name: string) => (new RegExp(`^${name}:[ \\t]*(.*)$`, 'm').exec(status)?.[1] ?? '').split(/[ \t]+/)
  const [uid, gid] = [Number(numbers('Uid')[1]), Number(numbers('Gid')[1])]
  if (!Number.isInteger(uid) || !Number.isInteger(gid)) throw new Error(`/proc/${pid}/status names no user and group`)
  return { uid, gid, groups: numbers('Groups').filter(Boolean).map(Number) }
}

/** Which file a process runs, as `device:inode`: the same for a file that was renamed or deleted since. */
export function executableIdentity(pid: number, procRoot = '/proc'): string | undefined {
  try {
    const { dev, ino } = statSync(`${procRoot}/${pid}/exe`, { bigint: true })
    return `${dev}:${ino}`
  } catch {
    return undefined
  }
}
