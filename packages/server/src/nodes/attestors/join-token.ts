import type { AuditFact } from '../../audit/event.ts'
import { insertEntry, newEntry } from '../../registration-entries/insert-entry.ts'
import type { MasterKey } from '../../sealing/master-key.ts'
import { announce } from '../../storage/change-feed.ts'
import type { Store, StoreTransaction } from '../../storage/store.ts'
import type { JoinTokenRow } from '../../storage/workload-identity-tables.ts'
import { hashJoinToken, joinTokenAgentId, joinTokenPattern, ownSelector } from '../join-token.ts'
import { AttestationError, type NodeAttestor } from '../node-attestor.ts'

export interface JoinTokenAttestorOptions {
  store: Store
  masterKey: Pick<MasterKey, 'joinTokenKey'>
  trustDomain: string
  /** Seconds since the epoch */
  now: () => number
}

/** The agent has a token that an administrator made. It is spent when the node is recorded. */
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
      if (found.expires_at <= now()) {
        await spend(store.database, found)
        throw refused()
      }
      const id = joinTokenAgentId(trustDomain, token)
      return {
        id,
        selectors: [],
        reattestable: false,
        async claim(transaction, at) {
          if (!(await spend(transaction, found))) throw refused()
          return found.spiffe_id === null ? [] : [await giveSecondId(found.spiffe_id, id, transaction, { store, at })]
        },
      }
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

/**
 * The entry that gives the agent a second ID is made only now: its parent holds the token, which whoever may read
 * entries must not learn while it is good for something.
 */
async function giveSecondId(
  spiffeId: string,
  agentId: string,
  transaction: StoreTransaction,
  { store, at }: { store: Store; at: number },
): Promise<AuditFact> {
  const entry = newEntry({ spiffeId, parentId: agentId, selectors: [ownSelector(agentId)] })
  await announce(transaction, store, { kind: 'entry', id: entry.id, at })
  await insertEntry(transaction, entry, at)
  return {
    type: 'entry.created',
    outcome: 'success',
    target: `entry/${entry.id}`,
    detail: { spiffe_id: entry.spiffeId, parent_id: agentId },
  }
}
