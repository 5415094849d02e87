import { readFileSync } from 'node:fs'

const CAP_SYS_PTRACE = 19n

/** Whether this process may look at the programs of all users: `/proc/PID/exe` wants CAP_SYS_PTRACE (ptrace(2)). */
export function mayLookAtPrograms(statusFile = '/proc/self/status'): boolean {
  const [, effective = '0'] = /^CapEff:\s*([0-9a-f]{1,16})$/m.exec(readFileSync(statusFile, 'utf8')) ?? []
  return ((BigInt(`0x${effective}`) >> CAP_SYS_PTRACE) & 1n) === 1n
}
