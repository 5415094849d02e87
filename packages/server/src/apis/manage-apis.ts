import { randomBytes } from 'node:crypto'
import type { SigningAlgorithm } from '@countersign/tokens'
import type { Authority } from '../authority.ts'
import { type Actor, ensureSigningKey } from '../signing-keys/lifecycle.ts'
import { announce } from '../storage/change-feed.ts'

export interface NewApi {
  audience: string
  name: string
  scopes: readonly { name: string; description?: string }[]
  signingAlgorithm?: SigningAlgorithm
  tokenLifetimeSeconds?: number
  introspectors?: readonly string[]
}

/** @throws StoreError `conflict` when there is an API of this audience */
export async function createApi(api: NewApi, authority: Authority, actor: Actor): Promise<string> {
  const id = `api_${randomBytes(9).toString('base64url')}`
  const algorithm = api.signingAlgorithm ?? 'ES256'
  await ensureSigningKey(algorithm, authority.keys)
  await authority.audit.recordChange(
    { ...actor, type: 'api.created', outcome: 'success', target: `api/${id}`, audience: api.audience },
    async (transaction) => {
      const now = authority.now()
      await transaction
        .insertInto('apis')
        .values({
          id,
          audience: api.audience,
          name: api.name,
          scopes: JSON.stringify(api.scopes),
          signing_alg: algorithm,
          token_ttl: api.tokenLifetimeSeconds ?? 3600,
          introspectors: JSON.stringify(api.introspectors ?? []),
          created_at: now,
          updated_at: now,
        })
        .execute()
      await announce(transaction, authority.store, { kind: 'api', id, at: now })
    },
  )
  return id
}
