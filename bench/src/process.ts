import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'

const flags = ['--conditions=source', '--disable-warning=ExperimentalWarning']

/** Pins what is measured to one core, and the load to another, where the machine can do that. */
const canPin = spawnSync('taskset', ['-c', '0', 'true']).status === 0

export interface Program {
  child: ChildProcess
  /** The first line on stdout that is JSON */
  ready: Record<string, unknown>
  stop(): Promise<void>
}

export async function startProgram(
  file: URL,
  options: { core?: number; args?: string[]; environment?: NodeJS.ProcessEnv } = {},
): Promise<Program> {
  const command = [process.execPath, ...flags, fileURLToPath(file), ...(options.args ?? [])]
  const pinned = canPin && options.core !== undefined ? ['taskset', '-c', String(options.core), ...command] : command
  const child = spawn(pinned[0] as string, pinned.slice(1), {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: { ...process.env, ...options.environment },
  })
  const ended = new Promise<void>((resolve) => child.on('exit', () => resolve()))
  const ready = await new Promise<Record<string, unknown>>((resolve, reject) => {
    createInterface({ input: child.stdout as NodeJS.ReadableStream }).on('line', (line) => {
      if (line.startsWith('{')) resolve(JSON.parse(line))
    })
    child.on('exit', (code) => reject(new Error(`${fileURLToPath(file)} ended with ${code} before it was ready`)))
  })
  return {
    child,
    ready,
    async stop() {
      child.kill('SIGTERM')
      await ended
    },
  }
}
