import { sql } from 'kysely'
import type { Actor } from '../audit/event.ts'
import type { Authority } from '../authority.ts'
import { longestTokenLifetimeSeconds } from '../signing-keys/lifecycle.ts'
import { announce } from '../storage/change-feed.ts'
import type { Store, StoreTransaction } from '../storage/store.ts'
import type { RevocationRow } from '../storage/tables.ts'

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

const nothing = {
  jti: null,
  client_id: null,
  before: null,
  kid: null,
  serial: null,
  spiffe_id: null,
  audience: null,
}

async function insertRevocation(
  transaction: StoreTransaction,
  { store, now }: { store: Pick<Store, 'kind'>; now: () => number },
  values: Pick<RevocationRow, 'expires_at'> & Partial<RevocationRow>,
): Promise<void> {
  const id = values.jti ?? values.serial ?? values.client_id ?? ''
  const revision = await announce(transaction, store, { kind: 'revocation', id, at: now() })
  const row = { ...nothing, ...values, revision }
  await transaction
    .insertInto('revocations')
    .values(row)
    .onConflict((conflict) =>
      row.serial === null
        ? conflict
            .column('jti')
            .doUpdateSet({
              revision,
              audience: sql`case when revocations.audience = excluded.audience then revocations.audience end`,
              expires_at: sql`case when revocations.expires_at > excluded.expires_at
                then revocations.expires_at else excluded.expires_at end`,
            })
            .where(sql<boolean>`revocations.expires_at < excluded.expires_at
              or (revocations.audience is not null and revocations.audience is distinct from excluded.audience)`)
        : conflict.column('serial').doNothing(),
    )
    .execute()
}

function latestExpiry({ now }: Pick<Authority, 'now'>): number {
  return now() + longestTokenLifetimeSeconds + marginSeconds
}
