import { isSpiffeId } from '@countersign/spiffe'
import type { Administrator } from '../admin/administrator.ts'
import { changeAs } from '../admin/change.ts'
import type { Authority } from '../authority.ts'
import { Problem } from '../http/problem.ts'
import { insertSvidRevocations, type SvidToRevoke } from '../revocation/revoke.ts'
import { announce } from '../storage/change-feed.ts'
import type { Database, StoreTransaction } from '../storage/store.ts'
import type { NodeRow } from '../storage/workload-identity-tables.ts'
import { ownSelector } from './join-token.ts'
import { revokeIssued } from './revoke-issued.ts'

/** @param id the agent's SPIFFE ID @throws Problem `not_found` */
export async function findNode(database: Database, id: string): Promise<NodeRow> {
  const row = isSpiffeId(id)
    ? await database.selectFrom('nodes').selectAll().where('id', '=', id).executeTakeFirst()
    : undefined
  if (!row) throw new Problem(404, 'not_found', 'there is no node with this SPIFFE ID')
  return row
}

/**
 * The agent gets nothing more, deletes its SVID and ends, and cannot attest again; that SVID and what it holds for
 * workloads are revoked. Banning again does what was left of that, if anything.
 * @throws Problem `not_found`; StoreError `unavailable`
 */
export async function banNode(id: string, authority: Authority, administrator: Administrator): Promise<NodeRow> {
  const present = await findNode(authority.store.database, id)
  const banned = present.banned_at === null ? await markBanned(id, authority, administrator) : present
  // After the ban is there to be seen: what is recorded as issued from now on is not given away.
  await revokeIssued(id, authority, administrator)
  return banned
}

function markBanned(id: string, authority: Authority, administrator: Administrator): Promise<NodeRow> {
  return changeAs(administrator, authority, {
    announces: { kind: 'node', id },
    fact: { type: 'node.banned', target: `node/${id}` },
    change: async (transaction, now) => {
      const before = await findNode(transaction, id)
      await insertSvidRevocations(transaction, ownSvids(before, now), authority)
      return transaction
        .updateTable('nodes')
        .set({ banned_at: before.banned_at ?? now, new_serial_number: null, new_expires_at: null, updated_at: now })
        .where('id', '=', id)
        .returningAll()
        .executeTakeFirstOrThrow()
    },
  })
}

/** With which the agent itself comes: the present one, and the one it has renewed that with and not used yet. */
function ownSvids(node: NodeRow, now: number): SvidToRevoke[] {
  return [
    { serial: node.serial_number, expiresAt: node.expires_at },
    { serial: node.new_serial_number ?? '', expiresAt: node.new_expires_at ?? 0 },
  ]
    .filter(({ serial, expiresAt }) => serial !== '' && expiresAt > now)
    .map((svid) => ({ ...svid, spiffeId: node.id }))
}

/**
 * Forgets the node: its agent must attest again, where it can. This is also how a ban is lifted. The second ID that a
 * join token gave it goes too, as nobody can ever have that agent's ID again.
 * @param options.expiredBefore only if its SVID has expired by then, in seconds since the epoch, and it is not banned
 * @throws Problem `not_found`
 */
export async function evictNode(
  id: string,
  authority: Authority,
  administrator: Administrator,
  { expiredBefore }: { expiredBefore?: number } = {},
): Promise<void> {
  await findNode(authority.store.database, id)
  let entries: string[] = []
  await changeAs(administrator, authority, {
    announces: { kind: 'node', id },
    fact: () => ({
      type: 'node.evicted',
      target: `node/${id}`,
      detail: {
        ...(entries.length > 0 && { entries_deleted: entries }),
        ...(expiredBefore !== undefined && { expired: true }),
      },
    }),
    change: async (transaction, now) => {
      const { attestation_type, banned_at, expires_at, new_expires_at } = await findNode(transaction, id)
      const lasts = Math.max(expires_at, new_expires_at ?? 0)
      if (expiredBefore !== undefined && (lasts >= expiredBefore || banned_at !== null)) {
        throw new Problem(404, 'not_found', 'the node has come back, or is banned')
      }
      await transaction.deleteFrom('nodes').where('id', '=', id).execute()
      entries = attestation_type === 'join_token' ? await deleteSecondIds(transaction, id) : []
      for (const entry of entries) await announce(transaction, authority.store, { kind: 'entry', id: entry, at: now })
    },
  })
}

async function deleteSecondIds(transaction: StoreTransaction, agentId: string): Promise<string[]> {
  const rows = await transaction
    .deleteFrom('registration_entries')
    .where('parent_id', '=', agentId)
    .where('selectors', '=', JSON.stringify([ownSelector(agentId)]))
    .returning('id')
    .execute()
  return rows.map(({ id }) => id)
}
