import type { Authority } from '../authority.ts'
import { type Actor, longestTokenLifetimeSeconds } from '../signing-keys/lifecycle.ts'
import { announce } from '../storage/change-feed.ts'
import type { StoreTransaction } from '../storage/store.ts'
import type { RevocationRow } from '../storage/tables.ts'

export interface TokenToRevoke {
  jti: string
  /** Seconds since the epoch; when unknown, as long as a token can live */
  expiresAt?: number
  /** The API that the token is for */
  audience?: string
}

/** Revokes one access token. A second time changes nothing. */
export async function revokeToken({ jti, expiresAt, audience }: TokenToRevoke, authority: Authority, actor: Actor) {
  await authority.audit.recordChange(
    { ...actor, type: 'token.revoked', outcome: 'success', target: `token/${jti}`, jti, audience },
    (transaction) =>
      insert(transaction, authority, { jti, audience: audience ?? null, ...(expiresAt && { expires_at: expiresAt }) }),
  )
}

/** Revokes every access token that a client was issued until now. */
export async function revokeClientTokens(clientId: string, authority: Authority, actor: Actor): Promise<void> {
  await authority.audit.recordChange(
    { ...actor, type: 'client_tokens.revoked', outcome: 'success', target: `client/${clientId}` },
    (transaction) => insertClientRevocation(transaction, clientId, authority),
  )
}

/** The same as part of a change that makes it due. */
export async function insertClientRevocation(
  transaction: StoreTransaction,
  clientId: string,
  authority: Authority,
): Promise<void> {
  await insert(transaction, authority, { client_id: clientId, before: authority.now() })
}

async function insert(transaction: StoreTransaction, { store, now }: Authority, values: Partial<RevocationRow>) {
  const id = values.jti ?? values.client_id ?? ''
  const revision = await announce(transaction, store, { kind: 'revocation', id, at: now() })
  await transaction
    .insertInto('revocations')
    .values({
      jti: null,
      client_id: null,
      before: null,
      kid: null,
      audience: null,
      expires_at: now() + longestTokenLifetimeSeconds + 3600,
      ...values,
      revision,
    })
    .onConflict((conflict) => conflict.column('jti').doNothing())
    .execute()
}
