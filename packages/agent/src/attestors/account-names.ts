import { readFile, stat } from 'node:fs/promises'

/** Names of users and groups by their numbers; undefined when there is none. */
export interface AccountNames {
  user(uid: number): Promise<string | undefined>
  group(gid: number): Promise<string | undefined>
}

/** Reads passwd(5) and group(5) files, anew when they changed. */
export function createAccountNames(files: { passwd?: string; group?: string } = {}): AccountNames {
  const users = createNameFile(files.passwd ?? '/etc/passwd')
  const groups = createNameFile(files.group ?? '/etc/group')
  return { user: users, group: groups }
}

function createNameFile(file: string): (id: number) => Promise<string | undefined> {
  let version: string | undefined
  let names = new Map<number, string>()
  return async (id) => {
    const now = await stat(file).catch(() => undefined)
    if (now === undefined) return undefined
    const current = `${now.ino} ${now.mtimeMs} ${now.ctimeMs} ${now.size}`
    if (current !== version) {
      names = parseNames(await readFile(file, 'utf8'))
      version = current
    }
    return names.get(id)
  }
}

/** `name:password:id:...` a line; the first line of an id counts, as getpwuid(3) has it. */
function parseNames(text: string): Map<number, string> {
  const names = new Map<number, string>()
  for (const line of text.split('\n')) {
    const [name, , id] = line.split(':')
    if (!name || name.startsWith('#') || !/^\d+$/.test(id ?? '')) continue
    if (!names.has(Number(id))) names.set(Number(id), name)
  }
  return names
}
