import { createHmac, type Hmac, type KeyObject, timingSafeEqual } from 'node:crypto'
import { createReadStream, createWriteStream } from 'node:fs'
import { open, rename, rm } from 'node:fs/promises'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { createGunzip, createGzip } from 'node:zlib'
import { StoreError } from './store.ts'
import type { Tables } from './tables.ts'

const format = 'countersign-backup'
const version = 1
const longestLine = 16 * 1024 * 1024

/** What a backup holds, in an order in which every row finds the rows that it refers to. With primary keys. */
export const backupTables = {
  settings: ['name'],
  apis: ['id'],
  clients: ['id'],
  client_secrets: ['id'],
  client_keys: ['id'],
  client_grants: ['client_id', 'api_id'],
  services: ['name'],
  signing_keys: ['kid'],
  certificate_authorities: ['id'],
  bundle_state: ['trust_domain'],
  trust_bundles: ['trust_domain'],
  registration_entries: ['id'],
  nodes: ['id'],
  revocations: ['revision'],
  used_assertions: ['id'],
  audit_events: ['chain', 'sequence'],
  audit_heads: ['chain'],
} as const satisfies Partial<Record<keyof Tables, readonly string[]>>

export type BackupTable = keyof typeof backupTables
export type Row = Record<string, string | number | null>

export interface BackupHeader {
  /** Seconds since the epoch: as of when the rows are */
  createdAt: number
  /** Names of the migrations that the schema had seen */
  migrations: readonly string[]
  /** The store's revision counter */
  revision: number
}

export interface BackupRow {
  table: BackupTable
  row: Row
}

/**
 * Writes gzipped lines of JSON: a header, each row as [table, row], and how many there were, with an HMAC over all
 * before it: whoever can write the file cannot add a client of his own. The file appears under its name only when it is
 * whole and on the disk, readable by its owner alone: it holds hashes and sealed keys.
 * @param key the master key's for backups
 * @returns how many rows
 */
export async function writeBackupFile(
  file: string,
  header: BackupHeader,
  rows: AsyncIterable<BackupRow>,
  key: KeyObject,
): Promise<number> {
  let count = 0
  const mac = createHmac('sha256', key)
  const authenticated = (value: unknown) => {
    const line = `${JSON.stringify(value)}\n`
    mac.update(line)
    return line
  }
  async function* lines() {
    yield authenticated({ format, version, ...header })
    for await (const { table, row } of rows) {
      count += 1
      yield authenticated([table, row])
    }
    yield `${JSON.stringify({ rows: count, mac: mac.digest('base64url') })}\n`
  }
  const partial = `${file}.partial`
  try {
    await rm(partial, { force: true })
    await pipeline(Readable.from(lines()), createGzip(), createWriteStream(partial, { mode: 0o600, flags: 'wx' }))
    await onDisk(partial)
    await rename(partial, file)
  } catch (error) {
    await rm(partial, { force: true })
    throw error
  }
  return count
}

/**
 * @returns the header, and the rows, whose end is only reached when the file was whole and made under this key: nothing
 *   of them may count before
 * @throws StoreError `bad_backup` when the file is not a backup, is cut off or damaged, or is of a newer version;
 *   `wrong_master_key` when it was made under another one, or altered
 */
export async function readBackupFile(
  file: string,
  key: KeyObject,
): Promise<{ header: BackupHeader; rows: AsyncGenerator<BackupRow, void>; close: () => void }> {
  const lines = linesOf(file)
  const first = await lines.next()
  const header = parse(first.value ?? '') as BackupHeader & { format?: unknown; version?: unknown }
  if (header?.format !== format) throw bad('it is not a backup that countersign made')
  if (header.version !== version) throw bad('it was made by a newer version of countersign: restore it with that one')
  return {
    header,
    rows: rowsOf(lines, createHmac('sha256', key).update(`${first.value}\n`)),
    close: () => void lines.return(),
  }
}

async function* rowsOf(lines: AsyncGenerator<string, void>, mac: Hmac): AsyncGenerator<BackupRow, void> {
  let count = 0
  for await (const line of lines) {
    const value = parse(line)
    if (!Array.isArray(value)) {
      if ((value as { rows?: unknown } | null)?.rows !== count) throw bad('rows are missing')
      checkMac(mac, (value as { mac?: unknown }).mac)
      // To the end of the file, where its checksum stands.
      if (!(await lines.next()).done) throw bad('something follows its end')
      return
    }
    mac.update(`${line}\n`)
    const [table, row] = value
    if (!Object.hasOwn(backupTables, String(table)) || !isRow(row)) throw bad(`row ${count + 1} is not one of ours`)
    count += 1
    yield { table, row }
  }
  throw bad('it is cut off')
}

function checkMac(mac: Hmac, written: unknown): void {
  const expected = mac.digest()
  const given = Buffer.from(String(written), 'base64url')
  if (given.length === expected.length && timingSafeEqual(given, expected)) return
  throw new StoreError(
    'wrong_master_key',
    'the backup cannot be restored: it was made under another master key, or altered since',
  )
}

async function* linesOf(file: string): AsyncGenerator<string, void> {
  const source = createReadStream(file)
  const text = source.pipe(createGunzip()).setEncoding('utf8')
  source.on('error', (error) => text.destroy(error))
  let rest = ''
  try {
    for await (const chunk of text) {
      const lines = `${rest}${chunk}`.split('\n')
      rest = lines.pop() ?? ''
      if (rest.length > longestLine) throw bad('it is not a backup, or is damaged')
      yield* lines
    }
    if (rest !== '') yield rest
  } catch (error) {
    if (error instanceof StoreError) throw error
    const { code, message } = error as NodeJS.ErrnoException
    throw bad(code === 'ENOENT' ? `there is no file ${file}` : `it is damaged or no backup (${message})`)
  } finally {
    source.destroy()
  }
}

function parse(line: string): unknown {
  try {
    return JSON.parse(line)
  } catch {
    throw bad('it is not a backup, or is damaged')
  }
}

function isRow(value: unknown): value is Row {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return false
  return Object.values(value).every((item) => item === null || typeof item === 'string' || typeof item === 'number')
}

export function bad(why: string): StoreError {
  return new StoreError('bad_backup', `the backup cannot be restored: ${why}`)
}

async function onDisk(file: string): Promise<void> {
  const handle = await open(file, 'r+')
  await handle.sync()
  await handle.close()
}
