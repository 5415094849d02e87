import { chmod, mkdir, readFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { createMasterKey, generateMasterKey } from '@countersign/server'
import { createClientSecret, isWellFormedClientSecret } from '@countersign/tokens'
import { CliError } from '../cli-error.ts'
import { replaceFile } from '../replace-file.ts'

export interface PlaygroundData {
  directory: string
  databaseUrl: string
  masterKey: string
  adminSecret: string
  demoSecret: string
  demoApiSecret: string
}

/**
 * The playground's data directory: its database and, in files that only their owner may read, the master key and the
 * secrets of the clients made for trying things out. Made once, the same ever after.
 * @throws CliError when a file cannot be read, written or understood, and which
 */
export async function openDataDirectory(path: string): Promise<PlaygroundData> {
  const directory = resolve(path)
  await mkdir(directory, { recursive: true, mode: 0o700 })
  await chmod(directory, 0o700)
  const secret = (name: string) =>
    keepValue(join(directory, name), createClientSecret, (text) => isWellFormedClientSecret(text))
  return {
    directory,
    databaseUrl: `sqlite:${join(directory, 'countersign.db')}`,
    masterKey: await keepValue(join(directory, 'master.key'), generateMasterKey, isMasterKey),
    adminSecret: await secret('admin.secret'),
    demoSecret: await secret('demo.secret'),
    demoApiSecret: await secret('demo-api.secret'),
  }
}

async function keepValue(file: string, make: () => string, isWhole: (text: string) => boolean): Promise<string> {
  try {
    const value = await readOrMake(file, make)
    if (isWhole(value)) return value
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    throw new CliError(`${file} cannot be used (${code}); free or mend it, or choose another folder with --data-dir`)
  }
  throw new CliError(
    `${file} is damaged: it does not hold what was written there; put it back from a copy, or begin anew by removing the data directory`,
  )
}

async function readOrMake(file: string, make: () => string): Promise<string> {
  try {
    return (await readFile(file, 'utf8')).trim()
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
  }
  const value = make()
  // A disk that is full now must not leave an empty key behind that stands in the way later.
  await replaceFile(file, `${value}\n`, 0o600)
  return value
}

function isMasterKey(text: string): boolean {
  try {
    createMasterKey(text)
    return true
  } catch {
    return false
  }
}
