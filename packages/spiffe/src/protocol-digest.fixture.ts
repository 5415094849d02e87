import { createHash } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

/** What `src/protocol/DIGEST` holds: SHA-256 over the .proto files and over what was generated from them. */
export function protocolDigest(): string {
  const proto = digestOf(join(import.meta.dirname, '../proto'), '.proto')
  const generated = digestOf(join(import.meta.dirname, 'protocol'), '.ts')
  return `proto ${proto}\ngenerated ${generated}\n`
}

function digestOf(folder: string, ending: string): string {
  const hash = createHash('sha256')
  const files = readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((file) => file.endsWith(ending))
  for (const file of files.sort()) {
    const content = readFileSync(join(folder, file))
    hash.update(`${file} ${content.length}\n`).update(content)
  }
  return hash.digest('hex')
}
