import { randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import pg from 'pg'
import { describe } from 'vitest'
import type { Store } from './store.ts'

const sharedPostgres = process.env.COUNTERSIGN_TEST_POSTGRES_URL

/** Runs a suite once on each kind of store; on PostgreSQL only where there is one, which `npm test` sees to. */
export function describeStores(name: string, suite: (kind: Store['kind']) => void): void {
  describe(`${name} on SQLite`, () => suite('sqlite'))
  describePostgres(`${name} on PostgreSQL`, () => suite('postgres'))
}

export function describePostgres(name: string, suite: () => void): void {
  describe.skipIf(!sharedPostgres)(name, suite)
}

export interface FreshDatabase {
  url: string
  /** Runs SQL over a connection of its own, as an operator would */
  run(statement: string): Promise<unknown[]>
  drop(): Promise<void>
}

/** An empty database of its own: a file, or a database within the PostgreSQL that the tests share. */
export async function freshDatabase(kind: Store['kind']): Promise<FreshDatabase> {
  return kind === 'sqlite' ? freshFile() : freshPostgresDatabase(sharedPostgres as string)
}

export async function freshPostgresDatabase(server: string): Promise<FreshDatabase> {
  const name = `test_${randomBytes(6).toString('hex')}`
  await runOn(server, `create database ${name}`)
  const url = new URL(server)
  url.pathname = `/${name}`
  return {
    url: url.href,
    run: (statement) => runOn(url.href, statement),
    drop: async () => void (await runOn(server, `drop database ${name} with (force)`)),
  }
}

function freshFile(): FreshDatabase {
  const folder = mkdtempSync(join(tmpdir(), 'countersign-store-'))
  return {
    url: `sqlite:${join(folder, 'test.db')}`,
    run: () => Promise.reject(new Error('only on PostgreSQL')),
    drop: async () => rmSync(folder, { recursive: true, force: true }),
  }
}

async function runOn(url: string, statement: string): Promise<unknown[]> {
  const client = new pg.Client({ connectionString: url })
  client.on('error', () => {})
  await client.connect()
  try {
    return (await client.query(statement)).rows
  } finally {
    await client.end()
  }
}
