import { randomBytes } from 'node:crypto'
import { chmodSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { createMasterKey, generateMasterKey } from '@countersign/server'
import { createClientSecret, isWellFormedClientSecret } from '@countersign/tokens'
import { CliError } from '../cli-error.ts'

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
export function openDataDirectory(path: string): PlaygroundData {
  const directory = resolve(path)
  mkdirSync(directory, { recursive: true, mode: 0o700 })
  chmodSync(directory, 0o700)
  const secret = (name: string) =>
    keepValue(join(directory, name), createClientSecret, (text) => isWellFormedClientSecret(text))
  return {
    directory,
    databaseUrl: `sqlite:${join(directory, 'countersign.db')}`,
    masterKey: keepValue(join(directory, 'master.key'), generateMasterKey, isMasterKey),
    adminSecret: secret('admin.secret'),
    demoSecret: secret('demo.secret'),
    demoApiSecret: secret('demo-api.secret'),
  }
}

function keepValue(file: string, make: () => string, isWhole: (text: string) => boolean): string {
  try {
    const value = readOrMake(file, make)
    if (isWhole(value)) return value
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    throw new CliError(`${file} cannot be used (${code}); free or mend it, or choose another folder with --data-dir`)
  }
  throw new CliError(
    `${file} is damaged: it does not hold what was written there; put it back from a copy, or begin anew by removing the data directory`,
  )
}

function readOrMake(file: string, make: () => string): string {
  try {
    return readFileSync(file, 'utf8').trim()
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
  }
  const value = make()
  writeWhole(file, `${value}\n`)
  return value
}

/** A disk that is full now must not leave an empty key behind that stands in the way later. */
function writeWhole(file: string, text: string): void {
  const temporary = `${file}.${randomBytes(6).toString('hex')}`
  try {
    writeFileSync(temporary, text, { mode: 0o600, flag: 'wx', flush: true })
    renameSync(temporary, file)
  } catch (error) {
    rmSync(temporary, { force: true })
    throw error
  }
}

function isMasterKey(text: string): boolean {
  try {
    createMasterKey(text)
    return true
  } catch {
    return false
  }
}
