import type { AuditLog } from '../../audit/log.ts'
import { insertEntry, newEntry } from '../../registration-entries/insert-entry.ts'
import type { MasterKey } from '../../sealing/master-key.ts'
import { announce, type ChangeFeed } from '../../storage/change-feed.ts'
import type { Store, StoreTransaction } from '../../storage/store.ts'
import type { JoinTokenRow } from '../../storage/workload-identity-tables.ts'
import { hashJoinToken, joinTokenAgentId, joinTokenPattern, ownSelector } from '../join-token.ts'
import { AttestationError, type NodeAttestor } from '../node-attestor.ts'

export interface JoinTokenAttestorOptions {
  store: Store
  feed: ChangeFeed
  audit: AuditLog
  masterKey: Pick<MasterKey, 'joinTokenKey'>
  trustDomain: string
  /** Seconds since the epoch */
  now: () => number
}

/** The agent has a token that an administrator made. It is spent whatever becomes of it. */
export function joinTokenAttestor(options: JoinTokenAttestorOptions): NodeAttestor {
  const { store, trustDomain, now } = options
  return {
    type: 'join_token',
    async attest(payload) {
      const token = payload.toString('latin1')
      if (!joinTokenPattern.test(token)) throw refused()
      const hash = hashJoinToken(token, options.masterKey.joinTokenKey)
      const found = await store.database
        .selectFrom('join_tokens')
        .selectAll()
        .where('hash', '=', hash)
        .executeTakeFirst()
      if (!found) throw refused()
      const id = joinTokenAgentId(trustDomain, token)
      const isLive = found.expires_at > now()
      const spent =
        isLive && found.spiffe_id !== null
          ? await spendForAlias({ ...found, spiffe_id: found.spiffe_id }, id, options)
          : await spend(store.database, found)
      if (!spent || !isLive) throw refused()
      return { id, selectors: [], reattestable: false }
    },
  }
}

/** One sentence for unknown, used and expired, so that nothing is learned by trying. */
function refused(): AttestationError {
  return new AttestationError(
    'invalid',
    'the join token is unknown, used or expired; make another with: countersign node token create',
  )
}

/** Of many that come with one token, the database lets one delete it. */
async function spend(database: Pick<StoreTransaction, 'deleteFrom'>, { id }: JoinTokenRow): Promise<boolean> {
  const row = await database.deleteFrom('join_tokens').where('id', '=', id).returning('id').executeTakeFirst()
  return row !== undefined
}

const alreadySpent = Symbol('already spent')

/**
 * The entry that gives the agent a second ID is made only now: its parent holds the token, which whoever may read
 * entries must not learn while it is good for something.
 */
async function spendForAlias(
  token: JoinTokenRow & { spiffe_id: string },
  agentId: string,
  { store, audit, feed, now }: JoinTokenAttestorOptions,
): Promise<boolean> {
  const entry = newEntry({
    spiffeId: token.spiffe_id,
    parentId: agentId,
    selectors: [ownSelector(agentId)],
  })
  try {
    await audit.recordChange(
      {
        type: 'entry.created',
        outcome: 'success',
        target: `entry/${entry.id}`,
        detail: { spiffe_id: entry.spiffeId, parent_id: agentId, join_token: token.id },
      },
      async (transaction) => {
        await announce(transaction, store, { kind: 'entry', id: entry.id, at: now() })
        if (!(await spend(transaction, token))) throw alreadySpent
        await insertEntry(transaction, entry, now())
      },
    )
  } catch (error) {
    if (error === alreadySpent) return false
    throw error
  }
  await feed.catchUp()
  return true
}
