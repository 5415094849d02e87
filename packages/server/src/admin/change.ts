import type { AuditFact } from '../audit/event.ts'
import type { Authority } from '../authority.ts'
import { announce, type ChangeKind } from '../storage/change-feed.ts'
import type { StoreTransaction } from '../storage/store.ts'
import { type Administrator, actorOf } from './administrator.ts'

/** What happened, without who did it. */
export type ChangeFact = Pick<AuditFact, 'type' | 'target' | 'audience' | 'scope' | 'jti' | 'detail'>

export interface AdminChange<T> {
  /** What replicas must read anew */
  announces: { kind: ChangeKind; id: string }
  /** A function where it depends on what the change found */
  fact: ChangeFact | (() => ChangeFact)
  /** Runs alone: the announcement's row lock keeps every other change, on any replica, out until the commit. */
  change: (transaction: StoreTransaction, now: number) => Promise<T>
}

/** One administrative change: the rows, the audit event and the announcement in one transaction, or none of them. */
export async function changeAs<T>(
  administrator: Administrator,
  authority: Authority,
  { announces, fact, change }: AdminChange<T>,
): Promise<T> {
  const told = (): AuditFact => ({
    ...actorOf(administrator),
    outcome: 'success',
    ...(typeof fact === 'function' ? fact() : fact),
  })
  const result = await authority.audit.recordChange(told, async (transaction) => {
    const now = authority.now()
    await announce(transaction, authority.store, { ...announces, at: now })
    return change(transaction, now)
  })
  // Whoever is answered may rely on it: this replica no longer knows anything older.
  await authority.feed.catchUp()
  return result
}
