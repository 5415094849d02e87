import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { type Figure, median } from './figures.ts'
import { startProgram } from './process.ts'

const program = new URL('../../packages/cli/src/main.ts', import.meta.url)

/** From the command to the printed summary, which comes after the first token and the first call. */
export async function benchStart(): Promise<Figure[]> {
  const times: number[] = []
  for (let round = 0; round < 5; round++) {
    const startedAt = performance.now()
    await withPlayground(async () => void times.push(performance.now() - startedAt))
  }
  const seconds = median(times) / 1000
  return [
    {
      name: 'from the command to the first token and call, empty data',
      measured: `${seconds.toFixed(2)} s`,
      budget: '<= 2 s',
      met: seconds <= 2,
    },
  ]
}

export async function benchMemory(): Promise<Figure[]> {
  let megabytes = Number.NaN
  const program = await startProgram(new URL('./servers/countersign.ts', import.meta.url))
  await setTimeout(3000)
  const status = readFileSync(`/proc/${program.child.pid}/status`, 'utf8')
  megabytes = Number(/VmRSS:\s+(\d+)/.exec(status)?.[1]) / 1024
  await program.stop()
  return [
    {
      name: 'memory of an idle server',
      measured: `${Math.round(megabytes)} MB`,
      budget: '<= 120 MB',
      met: megabytes <= 120,
    },
  ]
}

async function withPlayground(work: () => Promise<void>): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'countersign-bench-'))
  const started = await startProgram(program, {
    args: ['dev', '--json', '--port', '18999', '--data-dir', folder],
    environment: { COUNTERSIGN_LOG_LEVEL: 'error' },
  })
  try {
    await work()
  } finally {
    await started.stop()
    rmSync(folder, { recursive: true, force: true })
  }
}
