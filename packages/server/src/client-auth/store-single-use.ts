import type { Store } from '../storage/store.ts'
import type { SingleUseAssertions } from './client-auth-method.ts'

/** Beyond its end, so that a clock which leaps an hour ahead and comes back has not made a used one usable again. */
const keptSeconds = 3600 + 60

/**
 * Remembers used assertions in the database itself: its primary key lets exactly one of many win, on every replica
 * and over restarts. The database is the memory, so there is nothing to fill up or to evict.
 */
export function createStoreSingleUse({ database }: Store, now: () => number): SingleUseAssertions {
  let pruneAt = 0
  return {
    async firstUse(id, expiresAt) {
      // It may have been pruned already: what is not remembered must not be taken for new.
      if (expiresAt <= now()) return false
      if (now() >= pruneAt) {
        pruneAt = now() + 60
        await database
          .deleteFrom('used_assertions')
          .where('expires_at', '<', now() - keptSeconds)
          .execute()
      }
      const inserted = await database
        .insertInto('used_assertions')
        .values({ id, expires_at: expiresAt })
        .onConflict((conflict) => conflict.column('id').doNothing())
        .returning('id')
        .executeTakeFirst()
      return inserted !== undefined
    },
  }
}
