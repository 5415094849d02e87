import { configFile, readConfig } from '../server-config.ts'
import type { Finding } from './finding.ts'

/** What a server on this machine would find: its configuration, its store, and whether its master key fits. */
export async function examineConfig(named: string | undefined): Promise<Finding[]> {
  const file = configFile(named)
  const settings = [
    'COUNTERSIGN_ISSUER',
    'COUNTERSIGN_DATABASE_URL',
    'COUNTERSIGN_MASTER_KEY',
    'COUNTERSIGN_MASTER_KEY_FILE',
  ]
  if (file === undefined && !settings.some((name) => process.env[name])) {
    const says = 'no server is configured here (no countersign.yaml, no COUNTERSIGN_ISSUER)'
    return [
      { check: 'config', status: 'skipped', says, cure: 'to look at a configuration too, name it with --config FILE' },
    ]
  }
  try {
    const config = await readConfig(named)
    const good: Finding = { check: 'config', status: 'ok', says: `${file ?? 'the environment'} is complete and safe` }
    return [good, ...(await examineStore(config.database_url, config.master_key))]
  } catch (error) {
    const problems = (error as { problems?: readonly string[] }).problems ?? [(error as Error).message]
    return problems.map((says) => ({
      check: 'config',
      status: 'problem',
      says,
      cure: 'mend that line and run this again',
    }))
  }
}

async function examineStore(databaseUrl: string, masterKey: string): Promise<Finding[]> {
  const { createMasterKey, openStore } = await import('@countersign/server')
  const path = databaseUrl.startsWith('sqlite:') ? databaseUrl.slice('sqlite:'.length) : undefined
  if (path !== undefined) {
    const { existsSync } = await import('node:fs')
    // Opening would make it.
    if (!existsSync(path))
      return [
        {
          check: 'store',
          status: 'warning',
          says: `there is no database at ${path} yet`,
          cure: 'the first start of countersign server makes it',
        },
      ]
  }
  let store: Awaited<ReturnType<typeof openStore>>
  try {
    store = await openStore(databaseUrl)
    await store.ping()
  } catch (error) {
    const cure = 'start the database, or mend database_url (COUNTERSIGN_DATABASE_URL)'
    return [{ check: 'store', status: 'problem', says: (error as Error).message, cure }]
  }
  try {
    const answers: Finding = { check: 'store', status: 'ok', says: `the ${store.kind} database answers` }
    const row = await store.database
      .selectFrom('settings')
      .select('value')
      .where('name', '=', 'master_key_check')
      .executeTakeFirst()
    if (row === undefined) return [answers]
    createMasterKey(masterKey).open(row.value, 'master_key_check')
    return [
      answers,
      { check: 'master key', status: 'ok', says: 'the master key is the one this database was made with' },
    ]
  } catch (error) {
    const cure = 'set COUNTERSIGN_MASTER_KEY to the key that this database was made with'
    return [{ check: 'master key', status: 'problem', says: (error as Error).message, cure }]
  } finally {
    await store.close()
  }
}
