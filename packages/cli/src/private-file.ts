import { randomBytes } from 'node:crypto'
import { mkdir, open, rename, rm } from 'node:fs/promises'
import { dirname } from 'node:path'
import { CliError } from './cli-error.ts'

/** Writes a file that only its owner can read, whole or not at all; there is never a moment when others can read it. */
export async function writePrivateFile(path: string, text: string, options: { replace: boolean }): Promise<void> {
  try {
    if (options.replace) await replaceFile(path, text)
    else await createFile(path, text)
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === 'EEXIST')
      throw new CliError(`${path} exists already and is not overwritten; name another file or move that one away`)
    throw new CliError(`${path} cannot be written (${code}); name a file in a folder that you may write to`)
  }
}

async function replaceFile(path: string, text: string): Promise<void> {
  await mkdir(dirname(path), { recursive: true, mode: 0o700 })
  const temporary = `${path}.${randomBytes(6).toString('hex')}`
  try {
    await createFile(temporary, text)
    await rename(temporary, path)
  } catch (error) {
    await rm(temporary, { force: true })
    throw error
  }
}

async function createFile(path: string, text: string): Promise<void> {
  const file = await open(path, 'wx', 0o600)
  try {
    await file.writeFile(text)
    await file.sync()
  } finally {
    await file.close()
  }
}
