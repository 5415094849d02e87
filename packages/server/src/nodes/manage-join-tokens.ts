import { randomBytes } from 'node:crypto'
import type { Administrator } from '../admin/administrator.ts'
import { actorOf } from '../admin/administrator.ts'
import type { Authority } from '../authority.ts'
import { Problem } from '../http/problem.ts'
import { requireHeldOfIdentities } from '../registration-entries/require-held.ts'
import type { JoinTokenRow } from '../storage/workload-identity-tables.ts'
import { hashJoinToken, makeJoinToken } from './join-token.ts'

export interface NewJoinToken {
  ttlSeconds: number
  /** A second ID for the agent, of the own trust domain and not reserved */
  spiffeId?: string | undefined
}

/**
 * @returns the only sight of the token that there will ever be
 * @throws Problem `insufficient_scope`
 */
export async function createJoinToken(
  { ttlSeconds, spiffeId }: NewJoinToken,
  authority: Authority,
  administrator: Administrator,
): Promise<{ row: JoinTokenRow; token: string }> {
  const token = makeJoinToken()
  const now = authority.now()
  const row: JoinTokenRow = {
    id: `join_${randomBytes(9).toString('base64url')}`,
    hash: hashJoinToken(token, authority.masterKey.joinTokenKey),
    spiffe_id: spiffeId ?? null,
    created_at: now,
    expires_at: now + ttlSeconds,
  }
  await authority.audit.recordChange(
    {
      ...actorOf(administrator),
      type: 'join_token.created',
      outcome: 'success',
      target: `join_token/${row.id}`,
      detail: { ttl: ttlSeconds, ...(spiffeId !== undefined && { spiffe_id: spiffeId }) },
    },
    async (transaction) => {
      if (spiffeId !== undefined) await requireHeldOfIdentities(transaction, { spiffeId, dnsNames: [] }, administrator)
      // Nobody asks for tokens that are over, but they would stay for ever.
      for (const table of ['join_tokens', 'spent_join_tokens'] as const) {
        await transaction.deleteFrom(table).where('expires_at', '<', now).execute()
      }
      await transaction.insertInto('join_tokens').values(row).execute()
    },
  )
  return { row, token }
}

/** @throws Problem `not_found`, also when an agent has used it */
export async function deleteJoinToken(id: string, authority: Authority, administrator: Administrator): Promise<void> {
  if (!/^join_[\w-]{1,64}$/.test(id)) throw noSuchToken()
  await authority.audit.recordChange(
    { ...actorOf(administrator), type: 'join_token.deleted', outcome: 'success', target: `join_token/${id}` },
    async (transaction) => {
      const row = await transaction.deleteFrom('join_tokens').where('id', '=', id).returning('id').executeTakeFirst()
      if (!row) throw noSuchToken()
    },
  )
}

function noSuchToken(): Problem {
  return new Problem(404, 'not_found', 'there is no join token with this id; it may have been used')
}
