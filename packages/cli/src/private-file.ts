import { mkdir, writeFile } from 'node:fs/promises'
import { dirname } from 'node:path'
import { CliError } from './cli-error.ts'
import { replaceFile } from './replace-file.ts'

/** Writes a file that only its owner can read, whole or not at all; there is never a moment when others can read it. */
export async function writePrivateFile(path: string, text: string, options: { replace: boolean }): Promise<void> {
  try {
    if (options.replace) {
      await mkdir(dirname(path), { recursive: true, mode: 0o700 })
      await replaceFile(path, text, 0o600)
    } else {
      await writeFile(path, text, { mode: 0o600, flag: 'wx', flush: true })
    }
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === 'EEXIST')
      throw new CliError(`${path} exists already and is not overwritten; name another file or move that one away`)
    throw new CliError(`${path} cannot be written (${code}); name a file in a folder that you may write to`)
  }
}
