import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { onTestFinished } from 'vitest'
import type { WorkloadProcess } from '../process/workload-process.ts'

/** A process with the control groups of another machine: what an attestor reads of it lies in a folder of the test. */
export function processIn(controlGroups: string): WorkloadProcess & { alive: boolean } {
  const procPath = join(mkdtempSync(join(tmpdir(), 'proc-')), '4711')
  onTestFinished(() => rmSync(join(procPath, '..'), { recursive: true, force: true }))
  mkdirSync(procPath)
  writeFileSync(join(procPath, 'cgroup'), controlGroups)
  return {
    pid: 4711,
    uid: 1,
    gid: 1,
    startTime: '1',
    procPath,
    alive: true,
    isAlive() {
      return this.alive
    },
    check() {},
    openExecutable: () => {
      throw new Error('it runs nothing')
    },
  }
}
