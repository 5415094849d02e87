import type { Kysely } from 'kysely'

/** What clients prove themselves by besides secrets and keys: SPIFFE IDs, names in certificates, certificates. */
export async function addClientCertificates(database: Kysely<unknown>): Promise<void> {
  await database.schema
    .alterTable('clients')
    .addColumn('spiffe_ids', 'text', (column) => column.notNull().defaultTo('[]'))
    .execute()
  await database.schema.alterTable('clients').addColumn('tls_client_auth', 'text').execute()
  await database.schema.alterTable('client_keys').addColumn('certificate', 'text').execute()
}
