import type { Actor } from '../audit/event.ts'
import type { Authority } from '../authority.ts'
import { longestTokenLifetimeSeconds } from '../signing-keys/lifecycle.ts'
import type { StoreTransaction } from '../storage/store.ts'
import { insertRevocation } from './insert-revocation.ts'

/** Clocks of replicas differ a little, and verifiers allow for as much again. */
const marginSeconds = 3600

export interface TokenToRevoke {
  jti: string
  /** Seconds since the epoch; when unknown, as long as a token can live */
  expiresAt?: number
  /** The API that the token is for; when unknown, every reader of the feed is told */
  audience?: string
  /** Whose token it is, for the audit event */
  clientId?: string
}

/**
 * Revokes one access token, on every replica once the promise resolves. A second time changes nothing, unless the first
 * one named another API or too early an end: then all are told.
 * @throws StoreError `unavailable`
 */
export async function revokeToken(token: TokenToRevoke, authority: Authority, actor: Actor): Promise<void> {
  const { jti, audience, clientId } = token
  const detail = clientId === undefined || clientId === actor.client_id ? {} : { detail: { token_client_id: clientId } }
  await authority.audit.recordChange(
    { ...actor, type: 'token.revoked', outcome: 'success', target: `token/${jti}`, jti, audience, ...detail },
    (transaction) =>
      insertRevocation(transaction, authority, {
        jti,
        audience: audience ?? null,
        expires_at: token.expiresAt ?? latestExpiry(authority),
      }),
  )
}

/** Whether the feed tells of this token already, to all who could meet it. @throws StoreError `unavailable` */
export async function isToldRevoked(
  { jti, expiresAt, audience }: Required<Omit<TokenToRevoke, 'clientId'>>,
  { store }: Pick<Authority, 'store'>,
): Promise<boolean> {
  const row = await store.database
    .selectFrom('revocations')
    .select(['audience', 'expires_at'])
    .where('jti', '=', jti)
    .executeTakeFirst()
  return row !== undefined && row.expires_at >= expiresAt && (row.audience === null || row.audience === audience)
}

/**
 * Revokes every access token that a client was issued up to now, the present second included.
 * @throws StoreError `unavailable`
 */
export async function revokeClientTokens(clientId: string, authority: Authority, actor: Actor): Promise<void> {
  await authority.audit.recordChange(
    { ...actor, type: 'client_tokens.revoked', outcome: 'success', target: `client/${clientId}` },
    (transaction) => insertClientRevocation(transaction, clientId, authority),
  )
}

/** The same within a transaction that does more, such as disabling or deleting the client. */
export async function insertClientRevocation(
  transaction: StoreTransaction,
  clientId: string,
  authority: Pick<Authority, 'store' | 'now'>,
): Promise<void> {
  // A later one says all that an earlier one said.
  await transaction.deleteFrom('revocations').where('client_id', '=', clientId).execute()
  await insertRevocation(transaction, authority, {
    client_id: clientId,
    before: authority.now(),
    expires_at: latestExpiry(authority),
  })
}

export interface SvidToRevoke {
  /** One of both: the serial number of an X.509-SVID in lower-case hex, or the `jti` of a JWT-SVID */
  serial?: string
  jti?: string
  spiffeId?: string
  /** Seconds since the epoch */
  expiresAt: number
}

/**
 * Puts SVIDs on the feed, within a transaction that also records why. What is on it already stays as it is.
 * @throws StoreError `unavailable`
 */
export async function insertSvidRevocations(
  transaction: StoreTransaction,
  svids: readonly SvidToRevoke[],
  authority: Pick<Authority, 'store' | 'now'>,
): Promise<void> {
  for (const { serial, jti, spiffeId, expiresAt } of svids) {
    await insertRevocation(transaction, authority, {
      ...(serial === undefined ? { jti: jti ?? '' } : { serial }),
      spiffe_id: spiffeId ?? null,
      expires_at: expiresAt,
    })
  }
}

function latestExpiry({ now }: Pick<Authority, 'now'>): number {
  return now() + longestTokenLifetimeSeconds + marginSeconds
}
