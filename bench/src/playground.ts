import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { generateMasterKey } from '@countersign/server'
import { type Figure, median } from './figures.ts'
import { startProgram } from './process.ts'

const launcher = new URL('../../packages/cli/bin/countersign.js', import.meta.url)

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

/** The program as an operator starts it, on SQLite, after its first start has filled the compile cache. */
export async function benchMemory(): Promise<Figure[]> {
  await idleMegabytes()
  const megabytes = await idleMegabytes()
  return [
    {
      name: 'memory of an idle server',
      measured: `${Math.round(megabytes)} MB`,
      budget: '<= 120 MB',
      met: megabytes <= 120,
    },
  ]
}

async function idleMegabytes(): Promise<number> {
  const folder = mkdtempSync(join(tmpdir(), 'countersign-bench-'))
  const server = await startProgram(launcher, {
    args: ['server'],
    environment: {
      COUNTERSIGN_ISSUER: 'http://localhost:18998/',
      COUNTERSIGN_HOST: '127.0.0.1',
      COUNTERSIGN_PORT: '18998',
      COUNTERSIGN_DATABASE_URL: `sqlite:${join(folder, 'countersign.db')}`,
      COUNTERSIGN_MASTER_KEY: generateMasterKey(),
    },
  })
  try {
    await setTimeout(4000)
    const status = readFileSync(`/proc/${server.child.pid}/status`, 'utf8')
    return Number(/VmRSS:\s+(\d+)/.exec(status)?.[1]) / 1024
  } finally {
    await server.stop()
    rmSync(folder, { recursive: true, force: true })
  }
}

async function withPlayground(work: () => Promise<void>): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'countersign-bench-'))
  const started = await startProgram(launcher, {
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
