import { sql } from 'kysely'
import { announce } from '../storage/change-feed.ts'
import type { Store, StoreTransaction } from '../storage/store.ts'
import type { RevocationRow } from '../storage/tables.ts'

const nothing = {
  jti: null,
  client_id: null,
  before: null,
  kid: null,
  serial: null,
  spiffe_id: null,
  audience: null,
}

/**
 * Puts one item on the revocation feed, within the transaction that also records why. Of what is on it already, the later
 * end and the wider audience hold.
 * @throws StoreError `unavailable`
 */
export async function insertRevocation(
  transaction: StoreTransaction,
  { store, now }: { store: Pick<Store, 'kind'>; now: () => number },
  values: Pick<RevocationRow, 'expires_at'> & Partial<RevocationRow>,
): Promise<void> {
  const id = values.jti ?? values.kid ?? values.serial ?? values.client_id ?? ''
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
