import { longestTokenLifetimeSeconds } from '../signing-keys/lifecycle.ts'
import { announce } from '../storage/change-feed.ts'
import type { Store, StoreTransaction } from '../storage/store.ts'

/** Kills every token that a client was issued until now; part of the change that makes it due. */
export async function revokeTokensOfClient(
  transaction: StoreTransaction,
  store: Store,
  clientId: string,
  now: number,
): Promise<void> {
  const revision = await announce(transaction, store, { kind: 'revocation', id: clientId, at: now })
  await transaction
    .insertInto('revocations')
    .values({
      revision,
      jti: null,
      client_id: clientId,
      before: now,
      kid: null,
      audience: null,
      expires_at: now + longestTokenLifetimeSeconds,
    })
    .execute()
}
