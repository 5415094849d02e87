import { createHash } from 'node:crypto'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { MissingRuntime } from './missing-runtime.ts'
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
  const version = await runProgram('python3', ['-c', 'import sys; print("%d.%d" % sys.version_info[:2])'])
  if (version.status !== 0) throw new MissingRuntime('there is no python3; install Python 3.10 or newer')
  const fingerprint = createHash('sha256').update(readFileSync(requirements)).digest('hex').slice(0, 12)
  const packages = await preparedOnce(`python${version.stdout.trim()}-${fingerprint}`, installPackages)
  const environment = { PYTHONPATH: `${packages}:${scripts}`, PYTHONDONTWRITEBYTECODE: '1', PYTHONUTF8: '1' }
  return {
    ask: (script, input) =>
      askProgram('python3', [join(scripts, script)], { input: JSON.stringify(input), environment }),
    run: (args, options = {}) =>
      runProgram('python3', args, { ...options, environment: { ...environment, ...options.environment } }),
  }
}

/**
 * `pip install --target` needs neither root nor a virtual environment, which Debian's Python is without. Where pip
 * itself is missing, a virtual environment may still bring one, and on Debian root may install it.
 */
async function installPackages(folder: string): Promise<void> {
  const args = ['install', '--quiet', '--disable-pip-version-check', '--no-input', '--root-user-action=ignore']
  const install = (python: string) =>
    runProgram(python, ['-m', 'pip', ...args, '--target', folder, '--requirement', requirements], {
      timeoutSeconds: 300,
    })
  const python = await pythonWithPip(`${folder}.venv`)
  const { status, stderr } = await install(python)
  await runProgram('rm', ['-rf', `${folder}.venv`])
  if (status !== 0) throw new MissingRuntime(`pip could not install ${requirements}: ${stderr.trim().slice(-600)}`)
}

async function pythonWithPip(environment: string): Promise<string> {
  const hasPip = async () => (await runProgram('python3', ['-m', 'pip', '--version'])).status === 0
  if (await hasPip()) return 'python3'
  if ((await runProgram('python3', ['-m', 'venv', environment])).status === 0) return join(environment, 'bin/python')
  if (process.getuid?.() === 0 && existsSync('/usr/bin/apt-get')) {
    const noninteractive = { environment: { DEBIAN_FRONTEND: 'noninteractive' }, timeoutSeconds: 300 }
    await runProgram('apt-get', ['update', '-q'], noninteractive)
    await runProgram('apt-get', ['install', '-yq', '--no-install-recommends', 'python3-pip'], noninteractive)
    if (await hasPip()) return 'python3'
  }
  throw new MissingRuntime('python3 has neither pip nor venv; install one, on Debian with: apt install python3-pip')
}
