import { readFile, stat } from 'node:fs/promises'
import { homedir } from 'node:os'
import { isAbsolute, join } from 'node:path'
import { CliError } from './cli-error.ts'
import { writePrivateFile } from './private-file.ts'

/** What `countersign login` remembers: a server, who we are there, and how we prove it. */
export interface SavedContext {
  url: string
  client_id: string
  client_secret?: string
  /** A key stays where it is; only its place is remembered */
  private_key_file?: string
  allow_http?: boolean
}

/** In the XDG configuration folder (XDG Base Directory Specification: a relative path there is to be ignored). */
export function contextPath(environment: NodeJS.ProcessEnv = process.env): string {
  const configured = environment.XDG_CONFIG_HOME
  const folder = configured && isAbsolute(configured) ? configured : join(homedir(), '.config')
  return join(folder, 'countersign', 'context.json')
}

/** @throws CliError where others may read the file, or it is damaged */
export async function readContext(path = contextPath()): Promise<SavedContext | undefined> {
  let text: string
  try {
    const { mode } = await stat(path)
    if ((mode & 0o077) !== 0) {
      throw new CliError(`${path} holds a credential and others may read it; close it with: chmod 600 ${path}`)
    }
    text = await readFile(path, 'utf8')
  } catch (error) {
    if (error instanceof CliError) throw error
    const { code } = error as NodeJS.ErrnoException
    if (code === 'ENOENT' || code === 'ENOTDIR') return undefined
    throw new CliError(`${path} cannot be read (${code}); make it anew with: countersign login`)
  }
  return parseContext(text, path)
}

export async function saveContext(context: SavedContext, path = contextPath()): Promise<void> {
  await writePrivateFile(path, `${JSON.stringify(context, null, 2)}\n`, { replace: true })
}

function parseContext(text: string, path: string): SavedContext {
  try {
    const { url, client_id, client_secret, private_key_file, allow_http } = JSON.parse(text)
    const complete = [url, client_id, client_secret ?? private_key_file].every((value) => typeof value === 'string')
    if (complete) return { url, client_id, client_secret, private_key_file, allow_http: allow_http === true }
  } catch {
    // Told below: the parser's own words could quote the secret.
  }
  throw new CliError(`${path} is damaged; make it anew with: countersign login`)
}
