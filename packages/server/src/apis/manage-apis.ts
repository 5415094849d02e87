import { randomBytes } from 'node:crypto'
import type { SigningAlgorithm } from '@countersign/tokens'
import { adminAudience, adminScopeNames } from '../admin/admin-scopes.ts'
import { type Administrator, requireHeld } from '../admin/administrator.ts'
import { changeAs } from '../admin/change.ts'
import type { Authority } from '../authority.ts'
import { Problem } from '../http/problem.ts'
import { ensureSigningKey } from '../signing-keys/lifecycle.ts'
import type { StoreTransaction } from '../storage/store.ts'
import type { ApiRow } from '../storage/tables.ts'
import { type ApiPatch, scopesOf } from './api.ts'
import { findApi } from './find-api.ts'

export interface NewApi {
  audience: string
  name: string
  scopes: readonly { name: string; description?: string }[]
  signingAlgorithm?: SigningAlgorithm
  tokenLifetimeSeconds?: number
  introspectors?: readonly string[]
}

/** @throws StoreError `conflict` when there is an API of this audience */
export async function createApi(api: NewApi, authority: Authority, administrator: Administrator): Promise<string> {
  const id = `api_${randomBytes(9).toString('base64url')}`
  const algorithm = api.signingAlgorithm ?? 'ES256'
  await ensureSigningKey(algorithm, authority.keys)
  await changeAs(administrator, authority, {
    announces: { kind: 'api', id },
    fact: { type: 'api.created', target: `api/${id}`, audience: api.audience },
    change: async (transaction, now) => {
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
    },
  })
  return id
}

/**
 * Changes what the patch names. A scope that the API loses is taken from every grant too.
 * @throws Problem `not_found`; `builtin` for the scopes of the admin API; `insufficient_scope`
 */
export async function updateApi(
  idOrAudience: string,
  patch: ApiPatch,
  authority: Authority,
  administrator: Administrator,
): Promise<ApiRow> {
  const { id } = await findApi(authority.store.database, idOrAudience)
  if (patch.signing_alg) await ensureSigningKey(patch.signing_alg, authority.keys)
  const detail: Record<string, string | number | readonly string[]> = { changed: Object.keys(patch) }
  let audience = ''
  return changeAs(administrator, authority, {
    announces: { kind: 'api', id },
    fact: () => ({ type: 'api.updated', target: `api/${id}`, audience, detail }),
    change: async (transaction, now) => {
      const row = await findApi(transaction, id)
      audience = row.audience
      if (audience === adminAudience) refuseToRedefine(patch, administrator)
      if (patch.scopes) Object.assign(detail, await withdrawScopes(transaction, row, patch.scopes))
      return transaction
        .updateTable('apis')
        .set({
          ...(patch.name !== undefined && { name: patch.name }),
          ...(patch.scopes && { scopes: JSON.stringify(patch.scopes) }),
          ...(patch.signing_alg && { signing_alg: patch.signing_alg }),
          ...(patch.token_ttl !== undefined && { token_ttl: patch.token_ttl }),
          ...(patch.introspectors && { introspectors: JSON.stringify(patch.introspectors) }),
          updated_at: now,
        })
        .where('id', '=', id)
        .returningAll()
        .executeTakeFirstOrThrow()
    },
  })
}

/** Its grants go with it. @throws Problem `not_found`, `builtin` */
export async function deleteApi(
  idOrAudience: string,
  authority: Authority,
  administrator: Administrator,
): Promise<void> {
  const { id, audience } = await findApi(authority.store.database, idOrAudience)
  if (audience === adminAudience) throw new Problem(409, 'builtin', 'the admin API cannot be deleted')
  await changeAs(administrator, authority, {
    announces: { kind: 'api', id },
    fact: { type: 'api.deleted', target: `api/${id}`, audience },
    change: async (transaction) => {
      await findApi(transaction, id)
      await transaction.deleteFrom('apis').where('id', '=', id).execute()
    },
  })
}

/** What the admin API's scopes mean is code. The rest of it concerns every administrator, so it takes them all. */
function refuseToRedefine(patch: ApiPatch, administrator: Administrator): void {
  if (patch.scopes) throw new Problem(409, 'builtin', 'the scopes of the admin API cannot be changed')
  requireHeld(adminScopeNames, administrator)
}

async function withdrawScopes(transaction: StoreTransaction, row: ApiRow, kept: readonly { name: string }[]) {
  const names = new Set(kept.map(({ name }) => name))
  const removed = scopesOf(row)
    .map(({ name }) => name)
    .filter((name) => !names.has(name))
  if (removed.length === 0) return {}
  const grants = await transaction
    .selectFrom('client_grants')
    .select(['client_id', 'scopes'])
    .where('api_id', '=', row.id)
    .execute()
  let reduced = 0
  for (const { client_id, scopes } of grants) {
    const before: string[] = JSON.parse(scopes)
    const after = before.filter((name) => names.has(name))
    if (after.length === before.length) continue
    reduced += 1
    await transaction
      .updateTable('client_grants')
      .set({ scopes: JSON.stringify(after) })
      .where('api_id', '=', row.id)
      .where('client_id', '=', client_id)
      .execute()
  }
  return { scopes_removed: removed, grants_reduced: reduced }
}
