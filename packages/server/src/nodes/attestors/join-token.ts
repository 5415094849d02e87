import { createHash } from 'node:crypto'
import type { AuditFact } from '../../audit/event.ts'
import { insertEntry, newEntry } from '../../registration-entries/insert-entry.ts'
import type { MasterKey } from '../../sealing/master-key.ts'
import { announce } from '../../storage/change-feed.ts'
import type { Store, StoreTransaction } from '../../storage/store.ts'
import type { JoinTokenRow, SpentJoinTokenRow } from '../../storage/workload-identity-tables.ts'
import { hashJoinToken, joinTokenAgentId, joinTokenPattern, ownSelector } from '../join-token.ts'
import { AttestationError, type NodeAttestor } from '../node-attestor.ts'

export interface JoinTokenAttestorOptions {
  store: Store
  masterKey: Pick<MasterKey, 'joinTokenKey'>
  trustDomain: string
  /** Seconds since the epoch */
  now: () => number
}

/**
 * The agent has a token that an administrator made. It is spent when the node is recorded; until it would have expired,
 * the agent that spent it, which is known by its key, may ask again for an answer that it has lost.
 */
export function joinTokenAttestor(options: JoinTokenAttestorOptions): NodeAttestor {
  const { store, trustDomain, now } = options
  return {
    type: 'join_token',
    async attest(payload, _challenge, publicKeyDer) {
      const token = payload.toString('latin1')
      if (!joinTokenPattern.test(token)) throw refused()
      const hash = hashJoinToken(token, options.masterKey.joinTokenKey)
      const agent = { hash, publicKeyHash: createHash('sha256').update(publicKeyDer).digest('hex') }
      const node = { id: joinTokenAgentId(trustDomain, token), selectors: [], reattestable: false }
      const found = await store.database
        .selectFrom('join_tokens')
        .selectAll()
        .where('hash', '=', hash)
        .executeTakeFirst()
      if (!found) {
        const spent = await spentBy(agent, store.database)
        if (!spent || spent.expires_at <= now()) throw refused()
        return { ...node, serialGivenBefore: spent.serial_number }
      }
      if (found.expires_at <= now()) {
        await spend(store.database, found)
        throw refused()
      }
      return {
        ...node,
        async claim(transaction, { serialNumber, now: at }) {
          if (!(await spend(transaction, found))) throw (await spentBy(agent, transaction)) ? overtaken() : refused()
          await transaction
            .insertInto('spent_join_tokens')
            .values({
              hash,
              public_key_hash: agent.publicKeyHash,
              serial_number: serialNumber,
              expires_at: found.expires_at,
            })
            .execute()
          if (found.spiffe_id === null) return []
          return [await giveSecondId(found.spiffe_id, node.id, transaction, { store, at })]
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

/** An earlier try of the same agent has got through meanwhile; the next one gets another answer. */
function overtaken(): AttestationError {
  return new AttestationError('unavailable', 'this agent is just joining with the join token')
}

/** Knowing the token does not do for this, as it stands in the agent's ID: the key must be the one that spent it. */
function spentBy(
  { hash, publicKeyHash }: { hash: string; publicKeyHash: string },
  database: Pick<StoreTransaction, 'selectFrom'>,
): Promise<SpentJoinTokenRow | undefined> {
  return database
    .selectFrom('spent_join_tokens')
    .selectAll()
    .where('hash', '=', hash)
    .where('public_key_hash', '=', publicKeyHash)
    .executeTakeFirst()
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
