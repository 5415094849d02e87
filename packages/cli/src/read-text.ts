import { readFile, stat } from 'node:fs/promises'
import { CliError } from './cli-error.ts'

const longestText = 64 * 1024 * 1024

/** The text of a file, or of standard input for `-`. @throws CliError that says what the file was to be */
export async function readText(path: string, what: string): Promise<string> {
  return (await readBytes(path, what)).toString('utf8')
}

/** The same, byte for byte. */
export async function readBytes(path: string, what: string): Promise<Buffer> {
  if (path === '-') return readStandardInput(what)
  try {
    const { size } = await stat(path)
    if (size > longestText) throw new CliError(`${path} is too large to be ${what}; at most 64 MiB are read`)
    return await readFile(path)
  } catch (error) {
    if (error instanceof CliError) throw error
    const { code } = error as NodeJS.ErrnoException
    if (code === 'ENOENT') throw new CliError(`there is no file ${path}; name the file that holds ${what}`)
    if (code === 'EISDIR') throw new CliError(`${path} is a folder; name the file that holds ${what}`)
    throw new CliError(`${path} cannot be read (${code}); it should hold ${what}`)
  }
}

async function readStandardInput(what: string): Promise<Buffer> {
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of process.stdin as AsyncIterable<Buffer>) {
    size += chunk.length
    if (size > longestText) throw new CliError(`standard input is too large to be ${what}; at most 64 MiB are read`)
    chunks.push(chunk)
  }
  return Buffer.concat(chunks)
}
