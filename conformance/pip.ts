import { join } from 'node:path'
import { MissingRuntime } from './missing-runtime.ts'
import { runProgram } from './program.ts'

/**
 * Packages of PyPI into a folder: `pip install --target` needs neither root nor a virtual environment, which Debian's
 * Python is without. Where pip itself is missing, a virtual environment may still bring one, or the system's packages.
 * @param packages as pip takes them: `NAME==VERSION`, or `--requirement` and a file
 * @throws MissingRuntime
 */
export async function installFromPypi(folder: string, packages: readonly string[]): Promise<void> {
  const virtual = `${folder}.venv`
  const python = await pythonWithPip(virtual)
  const quiet = ['--quiet', '--disable-pip-version-check', '--no-input', '--root-user-action=ignore']
  const { status, stderr } = await runProgram(
    python,
    ['-m', 'pip', 'install', ...quiet, '--target', folder, ...packages],
    { timeoutSeconds: 300 },
  )
  await runProgram('rm', ['-rf', virtual])
  if (status !== 0) throw new MissingRuntime(`pip could not install ${packages.at(-1)}: ${stderr.trim().slice(-600)}`)
}

/** The version as `3.11`. @throws MissingRuntime */
export async function pythonVersion(): Promise<string> {
  const ask = () => runProgram('python3', ['-c', 'import sys; print("%d.%d" % sys.version_info[:2])'])
  let { status, stdout } = await ask()
  if (status !== 0 && (await installWithApt(['python3', 'python3-pip']))) ({ status, stdout } = await ask())
  if (status !== 0) throw new MissingRuntime('there is no python3; install Python 3.10 or newer')
  return stdout.trim()
}

async function pythonWithPip(virtual: string): Promise<string> {
  const hasPip = async () => (await runProgram('python3', ['-m', 'pip', '--version'])).status === 0
  if (await hasPip()) return 'python3'
  if ((await runProgram('python3', ['-m', 'venv', virtual])).status === 0) return join(virtual, 'bin/python')
  if ((await installWithApt(['python3-pip'])) && (await hasPip())) return 'python3'
  throw new MissingRuntime('python3 has neither pip nor venv; install one, on Debian with: apt install python3-pip')
}

/** Only where that asks nobody and changes nobody's own machine: as root, and in CI by sudo. */
async function installWithApt(packages: readonly string[]): Promise<boolean> {
  const module = new URL('../scripts/services/system-packages.js', import.meta.url)
  const { installSystemPackages } = await import(module.href)
  return installSystemPackages(packages, console.warn)
}
