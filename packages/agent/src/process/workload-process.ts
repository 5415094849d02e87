import { executableIdentity, readCredentials, readProcessState } from './process-state.ts'
import { WorkloadError } from './workload-error.ts'

/** A process that called the agent, pinned: another one that got its number later is not it. */
export interface WorkloadProcess {
  readonly pid: number
  /** Effective user and group when it connected, from the kernel. */
  readonly uid: number
  readonly gid: number
  /** Clock ticks since boot; with the pid it names one process of this boot. */
  readonly startTime: string
  /** Its folder in /proc. */
  readonly procPath: string
  /** True while this very process lives. */
  isAlive(): boolean
  /**
   * Makes sure that the process is still what connected: the same one, with the same user and group, running the same
   * file. Attestation asks before and after, so that what it read in between is of this process.
   *
   * @throws WorkloadError `ended_process`, `changed_process`
   */
  check(): void
}

/**
 * Pins the process that has this pid now.
 *
 * @throws WorkloadError `ended_process`, `hidden_process`, `changed_process`
 */
export function pinProcess(peer: { pid: number; uid: number; gid: number }, procRoot = '/proc'): WorkloadProcess {
  const { pid, uid, gid } = peer
  const state = readProcessState(pid, procRoot)
  if (state === undefined) throw unseen(pid)
  const { startTime } = state
  const executable = executableIdentity(pid, procRoot)

  const isAlive = () => {
    const now = readProcessState(pid, procRoot)
    return now !== undefined && now.startTime === startTime && !now.ended
  }
  const check = () => {
    if (!isAlive()) throw new WorkloadError('ended_process', `process ${pid} ended before it was attested`)
    const now = credentialsOf(pid, procRoot)
    if (now.uid !== uid || now.gid !== gid) {
      throw new WorkloadError(
        'changed_process',
        `process ${pid} connected as ${uid}:${gid} and is ${now.uid}:${now.gid} now; it must connect again`,
      )
    }
    if (executableIdentity(pid, procRoot) !== executable) {
      throw new WorkloadError('changed_process', `process ${pid} runs another program now than when it connected`)
    }
  }
  const pinned = { pid, uid, gid, startTime, procPath: `${procRoot}/${pid}`, isAlive, check }
  check()
  return Object.freeze(pinned)
}

function credentialsOf(pid: number, procRoot: string): { uid: number; gid: number } {
  try {
    return readCredentials(pid, procRoot)
  } catch (error) {
    throw new WorkloadError('ended_process', `process ${pid} ended before it was attested`, error)
  }
}

function unseen(pid: number): WorkloadError {
  // kill(pid, 0) knows of processes that a /proc mounted with hidepid does not show.
  try {
    process.kill(pid, 0)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EPERM') {
      return new WorkloadError('ended_process', `process ${pid} ended before it was attested`)
    }
  }
  return new WorkloadError(
    'hidden_process',
    `process ${pid} called, but /proc does not show it to this agent; ` +
      'run the agent as root or in the group of the gid= option of the /proc mount (hidepid)',
  )
}
