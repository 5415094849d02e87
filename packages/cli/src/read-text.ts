import { readFile, stat } from 'node:fs/promises'
import { boundedBody } from '@countersign/outbound/bounded-body'
import { CliError } from './cli-error.ts'

const longestText = 64 * 1024 * 1024

/** The text of a file, or of standard input for `-`. @throws CliError that says what the file was to be */
export async function readText(path: string, what: string): Promise<string> {
  return (await readBytes(path, what)).toString('utf8')
}

/** The same, byte for byte. */
export async function readBytes(path: string, what: string): Promise<Buffer> {
  const tooLarge = (name: string) => new CliError(`${name} is too large to be ${what}; at most 64 MiB are read`)
  if (path === '-') return boundedBody(process.stdin, longestText, () => tooLarge('standard input'))
  try {
    const { size } = await stat(path)
    if (size > longestText) throw tooLarge(path)
    return await readFile(path)
  } catch (error) {
    if (error instanceof CliError) throw error
    const { code } = error as NodeJS.ErrnoException
    if (code === 'ENOENT') throw new CliError(`there is no file ${path}; name the file that holds ${what}`)
    if (code === 'EISDIR') throw new CliError(`${path} is a folder; name the file that holds ${what}`)
    throw new CliError(`${path} cannot be read (${code}); it should hold ${what}`)
  }
}
