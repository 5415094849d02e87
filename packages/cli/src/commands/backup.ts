import { type Command, Option } from 'commander'
import { CliError } from '../cli-error.ts'
import { leaf } from '../command.ts'
import { formatInstant } from '../instant.ts'
import { note, type OutputOptions, printResource } from '../output.ts'
import { printable } from '../printable.ts'

interface BackupOptions extends OutputOptions {
  config?: string
}

interface RestoreOptions extends BackupOptions {
  replace?: boolean
  signingKeys: 'retire' | 'revoke'
}

const configOption = [
  '--config <file>',
  'the configuration that names the store (default: countersign.yaml and COUNTERSIGN_*)',
] as const

export function backupCommand(program: Command, description: string): void {
  leaf(
    program,
    'backup <file>',
    description,
    'countersign backup countersign-2026-03-01.backup --config countersign.yaml',
  )
    .option(...configOption)
    .action(backup)
}

export function restoreCommand(program: Command, description: string): void {
  leaf(
    program,
    'restore <file>',
    description,
    'countersign restore countersign-2026-03-01.backup --config countersign.yaml',
  )
    .option(...configOption)
    .option('--replace', 'put it in the place of what the store holds')
    .addOption(
      new Option('--signing-keys <what>', "what becomes of the backup's keys: their tokens live on, or die")
        .choices(['retire', 'revoke'])
        .default('retire'),
    )
    .action(restore)
}

async function backup(file: string, options: BackupOptions): Promise<void> {
  const { backupStore, createMasterKey, openStore } = await import('@countersign/server')
  const { readConfig } = await import('../server-config.ts')
  const config = await readConfig(options.config)
  const store = await openStore(config.database_url)
  try {
    const { rows, createdAt } = await backupStore(store, file, createMasterKey(config.master_key))
    const summary = { file, rows, created_at: formatInstant(createdAt) }
    printResource(summary, options, Object.entries(summary))
    if (!options.json) note('\nIt is of use only with the master key: keep that one elsewhere.')
  } finally {
    await store.close()
  }
}

async function restore(file: string, options: RestoreOptions): Promise<void> {
  const { createMasterKey, openStore, restoreStore } = await import('@countersign/server')
  const { readConfig } = await import('../server-config.ts')
  const config = await readConfig(options.config)
  const store = await openStore(config.database_url)
  try {
    const { replace, signingKeys } = options
    const restored = await orAdvise(
      restoreStore(store, file, {
        masterKey: createMasterKey(config.master_key),
        replace,
        signingKeys,
      }),
    )
    const summary = {
      file,
      rows: restored.rows,
      backup_at: formatInstant(restored.backupAt),
      restored_at: formatInstant(restored.restoredAt),
    }
    printResource({ ...summary, warnings: restored.warnings }, options, Object.entries(summary))
    if (!options.json) for (const warning of restored.warnings) note(`- ${printable(warning)}`)
  } finally {
    await store.close()
  }
}

async function orAdvise<Result>(restoring: Promise<Result>): Promise<Result> {
  try {
    return await restoring
  } catch (error) {
    const isInUse = (error as { code?: string }).code === 'conflict'
    throw isInUse
      ? new CliError(
          'the database is in use already; restore into an empty one, or add --replace to put the backup in its place',
        )
      : error
  }
}
