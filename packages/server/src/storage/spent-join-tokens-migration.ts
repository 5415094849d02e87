import type { Kysely } from 'kysely'

/**
 * Which agent a join token has let join. In a table of their own, so that a replica of a version that does not know of
 * it cannot take a spent token for a good one.
 */
export async function createSpentJoinTokens(database: Kysely<unknown>): Promise<void> {
  await database.schema
    .createTable('spent_join_tokens')
    .addColumn('hash', 'text', (column) => column.primaryKey().notNull())
    .addColumn('public_key_hash', 'text', (column) => column.notNull())
    .addColumn('serial_number', 'text', (column) => column.notNull())
    .addColumn('expires_at', 'bigint', (column) => column.notNull())
    .execute()
  await database.schema
    .createIndex('spent_join_tokens_expires_at')
    .on('spent_join_tokens')
    .column('expires_at')
    .execute()
}
