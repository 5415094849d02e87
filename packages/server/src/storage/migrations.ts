import { type Kysely, type Migration, type MigrationProvider, Migrator, sql } from 'kysely'
import { addClientCertificates } from './client-certificates-migration.ts'
import { indexIssuedSvids } from './issued-svids-migration.ts'
import { createSpentJoinTokens } from './spent-join-tokens-migration.ts'
import type { Tables } from './tables.ts'
import { createWorkloadIdentity } from './workload-identity-migration.ts'

/** In order; a migration that has landed is never edited, a new one is added below it. */
const migrations: Record<string, Migration> = {
  '001-foundation': { up: createFoundation },
  '002-services': { up: createServices },
  '003-workload-identity': { up: createWorkloadIdentity },
  '004-client-certificates': { up: addClientCertificates },
  '005-issued-svids': { up: indexIssuedSvids },
  '006-spent-join-tokens': { up: createSpentJoinTokens },
}

const provider: MigrationProvider = { getMigrations: async () => migrations }

/** Brings the schema up to date. Safe when several replicas start at once: kysely takes the database's own lock. */
export async function migrate(database: Kysely<Tables>): Promise<void> {
  const { error } = await new Migrator({ db: database, provider }).migrateToLatest()
  if (error) throw error
}

async function createFoundation(database: Kysely<unknown>): Promise<void> {
  await database.schema
    .createTable('apis')
    .addColumn('id', 'text', (column) => column.primaryKey().notNull())
    .addColumn('audience', 'text', (column) => column.notNull().unique())
    .addColumn('name', 'text', (column) => column.notNull())
    .addColumn('scopes', 'text', (column) => column.notNull())
    .addColumn('signing_alg', 'text', (column) => column.notNull())
    .addColumn('token_ttl', 'bigint', (column) => column.notNull())
    .addColumn('introspectors', 'text', (column) => column.notNull())
    .addColumn('created_at', 'bigint', (column) => column.notNull())
    .addColumn('updated_at', 'bigint', (column) => column.notNull())
    .execute()
  await database.schema
    .createTable('clients')
    .addColumn('id', 'text', (column) => column.primaryKey().notNull())
    .addColumn('name', 'text', (column) => column.notNull())
    .addColumn('disabled', 'integer', (column) => column.notNull())
    .addColumn('default_audience', 'text')
    .addColumn('auth_methods', 'text')
    .addColumn('assertion_audience', 'text', (column) => column.notNull())
    .addColumn('jwks_uri', 'text')
    .addColumn('created_at', 'bigint', (column) => column.notNull())
    .addColumn('updated_at', 'bigint', (column) => column.notNull())
    .execute()
  await database.schema
    .createTable('client_secrets')
    .addColumn('id', 'text', (column) => column.primaryKey().notNull())
    .addColumn('client_id', 'text', (column) => column.notNull().references('clients.id').onDelete('cascade'))
    .addColumn('hash', 'text', (column) => column.notNull())
    .addColumn('label', 'text')
    .addColumn('created_at', 'bigint', (column) => column.notNull())
    .addColumn('expires_at', 'bigint')
    .addColumn('last_used_at', 'bigint')
    .execute()
  await index(database, 'client_secrets', ['client_id'])
  await database.schema
    .createTable('client_keys')
    .addColumn('id', 'text', (column) => column.primaryKey().notNull())
    .addColumn('client_id', 'text', (column) => column.notNull().references('clients.id').onDelete('cascade'))
    .addColumn('kid', 'text', (column) => column.notNull())
    .addColumn('jwk', 'text', (column) => column.notNull())
    .addColumn('label', 'text')
    .addColumn('created_at', 'bigint', (column) => column.notNull())
    .addColumn('last_used_at', 'bigint')
    .addUniqueConstraint('client_keys_client_id_kid', ['client_id', 'kid'])
    .execute()
  await database.schema
    .createTable('client_grants')
    .addColumn('client_id', 'text', (column) => column.notNull().references('clients.id').onDelete('cascade'))
    .addColumn('api_id', 'text', (column) => column.notNull().references('apis.id').onDelete('cascade'))
    .addColumn('scopes', 'text', (column) => column.notNull())
    .addColumn('created_at', 'bigint', (column) => column.notNull())
    .addPrimaryKeyConstraint('client_grants_pk', ['client_id', 'api_id'])
    .execute()
  await index(database, 'client_grants', ['api_id'])
  await database.schema
    .createTable('signing_keys')
    .addColumn('kid', 'text', (column) => column.primaryKey().notNull())
    .addColumn('algorithm', 'text', (column) => column.notNull())
    .addColumn('status', 'text', (column) => column.notNull())
    .addColumn('public_jwk', 'text', (column) => column.notNull())
    .addColumn('sealed_private_key', 'text', (column) => column.notNull())
    .addColumn('created_at', 'bigint', (column) => column.notNull())
    .addColumn('activated_at', 'bigint')
    .addColumn('retired_at', 'bigint')
    .addColumn('revoked_at', 'bigint')
    .execute()
  await database.schema
    .createTable('revocations')
    .addColumn('revision', 'bigint', (column) => column.primaryKey().notNull())
    .addColumn('jti', 'text', (column) => column.unique())
    .addColumn('client_id', 'text')
    .addColumn('before', 'bigint')
    .addColumn('kid', 'text')
    .addColumn('audience', 'text')
    .addColumn('expires_at', 'bigint', (column) => column.notNull())
    .execute()
  await index(database, 'revocations', ['client_id', 'before'])
  await index(database, 'revocations', ['kid'])
  await index(database, 'revocations', ['expires_at'])
  await database.schema
    .createTable('used_assertions')
    .addColumn('id', 'text', (column) => column.primaryKey().notNull())
    .addColumn('expires_at', 'bigint', (column) => column.notNull())
    .execute()
  await index(database, 'used_assertions', ['expires_at'])
  await database.schema
    .createTable('audit_events')
    .addColumn('chain', 'text', (column) => column.notNull())
    .addColumn('sequence', 'bigint', (column) => column.notNull())
    .addColumn('time', 'text', (column) => column.notNull())
    .addColumn('type', 'text', (column) => column.notNull())
    .addColumn('outcome', 'text', (column) => column.notNull())
    .addColumn('client_id', 'text')
    .addColumn('event', 'text', (column) => column.notNull())
    .addColumn('hash', 'text', (column) => column.notNull())
    .addPrimaryKeyConstraint('audit_events_pk', ['chain', 'sequence'])
    .execute()
  await index(database, 'audit_events', ['time'])
  await index(database, 'audit_events', ['client_id', 'time'])
  await database.schema
    .createTable('audit_heads')
    .addColumn('chain', 'text', (column) => column.primaryKey().notNull())
    .addColumn('sequence', 'bigint', (column) => column.notNull())
    .addColumn('hash', 'text', (column) => column.notNull())
    .addColumn('time', 'text', (column) => column.notNull())
    .addColumn('signature', 'text', (column) => column.notNull())
    .execute()
  await database.schema
    .createTable('changes')
    .addColumn('revision', 'bigint', (column) => column.primaryKey().notNull())
    .addColumn('kind', 'text', (column) => column.notNull())
    .addColumn('id', 'text', (column) => column.notNull())
    .addColumn('at', 'bigint', (column) => column.notNull())
    .execute()
  await database.schema
    .createTable('store_revision')
    .addColumn('id', 'integer', (column) => column.primaryKey().notNull())
    .addColumn('value', 'bigint', (column) => column.notNull())
    .execute()
  await sql`insert into store_revision (id, value) values (1, 0)`.execute(database)
  await database.schema
    .createTable('settings')
    .addColumn('name', 'text', (column) => column.primaryKey().notNull())
    .addColumn('value', 'text', (column) => column.notNull())
    .execute()
}

async function createServices(database: Kysely<unknown>): Promise<void> {
  await database.schema
    .createTable('services')
    .addColumn('name', 'text', (column) => column.primaryKey().notNull())
    .addColumn('keys', 'text', (column) => column.notNull())
    .addColumn('created_at', 'bigint', (column) => column.notNull())
    .addColumn('updated_at', 'bigint', (column) => column.notNull())
    .execute()
}

async function index(database: Kysely<unknown>, table: string, columns: string[]): Promise<void> {
  await database.schema
    .createIndex(`${table}_${columns.join('_')}`)
    .on(table)
    .columns(columns)
    .execute()
}
