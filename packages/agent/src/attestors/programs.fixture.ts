import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { readlinkSync } from 'node:fs'
import { onTestFinished } from 'vitest'

/** Starts a command line and waits until the file that it ends up in runs; it ends with the test. */
export async function runProgram(command: readonly string[], program: string): Promise<ChildProcess> {
  const [file, ...args] = command as [string, ...string[]]
  const child = spawn(file, args, { stdio: 'ignore' })
  onTestFinished(() => {
    child.kill('SIGKILL')
  })
  await new Promise((resolve, reject) => child.once('spawn', resolve).once('error', reject))
  const giveUpAt = Date.now() + 5000
  while (Date.now() < giveUpAt) {
    try {
      if (readlinkSync(`/proc/${child.pid}/exe`) === program) return child
    } catch {
      // It is between two programs, or has ended.
    }
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
  throw new Error(`${command.join(' ')} did not come to run ${program}`)
}

/** Whether this machine lets its users have user and mount namespaces of their own. */
export function withoutUserNamespaces(): boolean {
  return spawnSync('unshare', ['-Urm', 'true']).status !== 0
}
