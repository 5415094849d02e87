import { spawn } from 'node:child_process'
import { access, constants, mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { CliError } from '../cli-error.ts'
import { replaceFile } from '../replace-file.ts'

export interface CertificateFiles {
  /** PEM, leaf first, without the root */
  certificate: string
  /** PEM, PKCS#8 */
  privateKey: string
  /** PEM of every CA that may be believed */
  bundle: string
}

export interface FileNames {
  certificate: string
  privateKey: string
  bundle: string
}

const hookMilliseconds = 60_000

/**
 * Writes what systems need that only know files, each whole or not at all: the key for its owner alone, and before the
 * certificate that belongs to it, so that who reloads on a new certificate finds its key.
 * @throws CliError naming the file that could not be written
 */
export async function writeCertificateFiles(folder: string, names: FileNames, files: CertificateFiles): Promise<void> {
  const write = (name: string, text: string, mode: number) => {
    const path = join(folder, name)
    return replaceFile(path, text, mode).catch((error) => {
      throw unwritable(path, error)
    })
  }
  await prepareFolder(folder)
  await write(names.bundle, files.bundle, 0o644)
  await write(names.privateKey, files.privateKey, 0o600)
  await write(names.certificate, files.certificate, 0o644)
}

/**
 * Makes the folder, if it is not there.
 * @throws CliError when it cannot be made, or is none, or may not be written
 */
export async function prepareFolder(folder: string): Promise<void> {
  try {
    await mkdir(folder, { recursive: true, mode: 0o700 })
    await access(folder, constants.W_OK)
  } catch (error) {
    throw unwritable(folder, error)
  }
}

/**
 * Runs what makes a program read its files again, in a shell.
 * @returns a sentence if it failed; the files are good all the same
 */
export async function runReloadHook(command: string): Promise<string | undefined> {
  const child = spawn('/bin/sh', ['-c', command], { stdio: ['ignore', 'inherit', 'inherit'] })
  const timer = setTimeout(() => child.kill('SIGKILL'), hookMilliseconds)
  const code = await new Promise<number | string>((resolve) => {
    child.on('error', (error) => resolve(error.message))
    child.on('exit', (status, signal) => resolve(status ?? signal ?? 'unknown'))
  })
  clearTimeout(timer)
  return code === 0 ? undefined : `the reload hook ${JSON.stringify(command)} failed (${code})`
}

function unwritable(file: string, error: unknown): CliError {
  const { code } = error as NodeJS.ErrnoException
  if (code === 'EEXIST' || code === 'ENOTDIR') return new CliError(`${file} is no folder; name another one`)
  return new CliError(`${file} cannot be written (${code}); name a folder that you may write to`)
}
