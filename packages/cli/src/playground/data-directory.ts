import { chmodSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { generateMasterKey } from '@countersign/server'
import { createClientSecret } from '@countersign/tokens'

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
 */
export function openDataDirectory(path: string): PlaygroundData {
  const directory = resolve(path)
  mkdirSync(directory, { recursive: true, mode: 0o700 })
  chmodSync(directory, 0o700)
  const kept = (name: string, make: () => string) => keepValue(join(directory, name), make)
  return {
    directory,
    databaseUrl: `sqlite:${join(directory, 'countersign.db')}`,
    masterKey: kept('master.key', generateMasterKey),
    adminSecret: kept('admin.secret', createClientSecret),
    demoSecret: kept('demo.secret', createClientSecret),
    demoApiSecret: kept('demo-api.secret', createClientSecret),
  }
}

function keepValue(file: string, make: () => string): string {
  if (!existsSync(file)) writeFileSync(file, `${make()}\n`, { mode: 0o600, flag: 'wx' })
  return readFileSync(file, 'utf8').trim()
}
