import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { installFromPypi, pythonVersion } from './pip.ts'
import { preparedOnce } from './prepared-once.ts'
import { askProgram, type ProgramOptions, type ProgramOutcome, runProgram } from './program.ts'

const scripts = fileURLToPath(new URL('python/', import.meta.url))
const requirements = join(scripts, 'requirements.txt')

export interface Python {
  /** Runs a script of conformance/python with JSON in and out */
  // biome-ignore lint/suspicious/noExplicitAny: tests look into what the script found
  ask(script: string, input: unknown): Promise<any>
  run(args: readonly string[], options?: ProgramOptions): Promise<ProgramOutcome>
}

/** Python with the packages of requirements.txt, in a cache folder. @throws MissingRuntime */
export async function preparePython(): Promise<Python> {
  const fingerprint = createHash('sha256').update(readFileSync(requirements)).digest('hex').slice(0, 12)
  const packages = await preparedOnce(`python${await pythonVersion()}-${fingerprint}`, (folder) =>
    installFromPypi(folder, ['--requirement', requirements]),
  )
  const environment = { PYTHONPATH: `${packages}:${scripts}`, PYTHONDONTWRITEBYTECODE: '1', PYTHONUTF8: '1' }
  return {
    ask: (script, input) =>
      askProgram('python3', [join(scripts, script)], { input: JSON.stringify(input), environment }),
    run: (args, options = {}) =>
      runProgram('python3', args, { ...options, environment: { ...environment, ...options.environment } }),
  }
}
