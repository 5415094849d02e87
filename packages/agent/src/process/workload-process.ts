import { type Executable, executableIdentity, openExecutable } from './executable.ts'
import { readCredentials, readProcessState } from './process-state.ts'
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
  /**
   * The file that it runs, to be closed after use.
   *
   * @throws WorkloadError `changed_process` when it is another one than at the connection
   */
  openExecutable(): Executable
}

/**
 * Pins the process that has this pid now.
 *
 * @throws WorkloadError `ended_process`, `hidden_process`, `changed_process`
 */
export function pinProcess(peer: { pid: number; uid: number; gid: number }, procRoot = '/proc'): WorkloadProcess {
  const { pid, uid, gid } = peer
  const procPath = `${procRoot}/${pid}`
  const state = readProcessState(procPath)
  if (state === undefined) throw unseen(pid)
  const { startTime } = state
  const executable = executableIdentity(procPath)

  const isAlive = () => {
    const now = readProcessState(procPath)
    return now !== undefined && now.startTime === startTime && !now.ended
  }
  const pinned: WorkloadProcess = {
    pid,
    uid,
    gid,
    startTime,
    procPath,
    isAlive,
    check() {
      checkCredentials(pinned)
      // Of a process that has ended there is no program either.
      const isSame = executableIdentity(procPath) === executable
      if (!isAlive()) throw endedBefore(pid)
      if (!isSame) throw otherProgram(pid)
    },
    openExecutable() {
      const opened = openExecutable(procPath)
      if (opened.identity === executable) return opened
      opened.close()
      throw isAlive() ? otherProgram(pid) : endedBefore(pid)
    },
  }
  pinned.check()
  return Object.freeze(pinned)
}

function checkCredentials({ pid, uid, gid, procPath }: WorkloadProcess): void {
  let now: { uid: number; gid: number }
  try {
    now = readCredentials(procPath)
  } catch (error) {
    throw endedBefore(pid, error)
  }
  if (now.uid === uid && now.gid === gid) return
  throw new WorkloadError(
    'changed_process',
    `process ${pid} connected as ${uid}:${gid} and is ${now.uid}:${now.gid} now; it must connect again`,
  )
}

function endedBefore(pid: number, cause?: unknown): WorkloadError {
  return new WorkloadError('ended_process', `process ${pid} has ended`, cause)
}

function otherProgram(pid: number): WorkloadError {
  return new WorkloadError(
    'changed_process',
    `process ${pid} runs another program now than when it connected; it must connect again`,
  )
}

function unseen(pid: number): WorkloadError {
  // kill(pid, 0) knows of processes that a /proc mounted with hidepid does not show.
  try {
    process.kill(pid, 0)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EPERM') {
      return endedBefore(pid)
    }
  }
  return new WorkloadError(
    'hidden_process',
    `process ${pid} called, but /proc does not show it to this agent; ` +
      'run the agent as root or in the group of the gid= option of the /proc mount (hidepid)',
  )
}
