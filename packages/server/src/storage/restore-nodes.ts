import type { StoreTransaction } from './store.ts'
import type { NodeRow } from './workload-identity-tables.ts'

/** Further than any entry is changed between a backup and its restore. */
const revisionsAhead = 1000

/** Before room is made: bans stay, whatever the backup says. */
export function bannedNodes(transaction: StoreTransaction): Promise<NodeRow[]> {
  return transaction.selectFrom('nodes').selectAll().where('banned_at', 'is not', null).execute()
}

/**
 * A backup cannot know which SVIDs of agents were replaced, which nodes were evicted, and which join tokens were used
 * after it was made: every node must attest itself again, and no join token is good. Entries go on to revisions that
 * none of them has had, so that no agent takes what it still knows for what is here now.
 * @returns whether there is anything of this
 */
export async function restoreNodes(transaction: StoreTransaction, banned: readonly NodeRow[]): Promise<boolean> {
  for (const node of banned) {
    await transaction
      .insertInto('nodes')
      .values(node)
      .onConflict((conflict) => conflict.column('id').doUpdateSet({ banned_at: node.banned_at }))
      .execute()
  }
  const nodes = await transaction
    .updateTable('nodes')
    .set({ serial_number: '', new_serial_number: null, new_expires_at: null })
    .executeTakeFirstOrThrow()
  for (const table of ['join_tokens', 'spent_join_tokens'] as const) await transaction.deleteFrom(table).execute()
  const entries = await transaction
    .updateTable('registration_entries')
    .set((row) => ({ revision_number: row('revision_number', '+', revisionsAhead) }))
    .executeTakeFirstOrThrow()
  return nodes.numUpdatedRows + entries.numUpdatedRows > 0n
}
