import { type Kysely, sql } from 'kysely'

/** What was issued is looked through when a node is banned; other events are not to pay for that. */
export async function indexIssuedSvids(database: Kysely<unknown>): Promise<void> {
  await sql`create index audit_events_issued_svids on audit_events (time, chain, sequence)
    where type = 'svid.issued'`.execute(database)
}
