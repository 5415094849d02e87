import { adminAudience } from '../admin/admin-scopes.ts'
import { type Administrator, requireHeld } from '../admin/administrator.ts'
import { changeAs } from '../admin/change.ts'
import { invalid } from '../admin/request-validation.ts'
import { scopesOf } from '../apis/api.ts'
import { findApi } from '../apis/find-api.ts'
import type { Authority } from '../authority.ts'
import { Problem } from '../http/problem.ts'
import type { StoreTransaction } from '../storage/store.ts'
import type { ApiRow, ClientGrantRow } from '../storage/tables.ts'
import { findClient } from './find-client.ts'

/**
 * Sets what a client may do at one API; what it had there before is replaced.
 * @param api id or audience
 * @throws Problem `not_found`, `invalid` (a scope that the API does not define), `insufficient_scope`
 */
export async function setGrant(
  clientId: string,
  api: string,
  scopes: readonly string[],
  authority: Authority,
  administrator: Administrator,
): Promise<ClientGrantRow & { audience: string }> {
  const wanted = [...new Set(scopes)]
  let audience = ''
  return changeAs(administrator, authority, {
    announces: { kind: 'client', id: clientId },
    fact: () => ({ type: 'grant.set', target: `client/${clientId}`, audience, detail: { scopes: wanted } }),
    change: async (transaction, now) => {
      await findClient(transaction, clientId)
      const row = await findApi(transaction, api)
      audience = row.audience
      requireDefined(wanted, row)
      await requireMayChange(transaction, clientId, row, wanted, administrator)
      const grant = await transaction
        .insertInto('client_grants')
        .values({ client_id: clientId, api_id: row.id, scopes: JSON.stringify(wanted), created_at: now })
        .onConflict((conflict) =>
          conflict.columns(['client_id', 'api_id']).doUpdateSet({ scopes: JSON.stringify(wanted) }),
        )
        .returningAll()
        .executeTakeFirstOrThrow()
      return { ...grant, audience }
    },
  })
}

/** @throws Problem `not_found`, `insufficient_scope` */
export async function removeGrant(
  clientId: string,
  api: string,
  authority: Authority,
  administrator: Administrator,
): Promise<void> {
  let audience = ''
  await changeAs(administrator, authority, {
    announces: { kind: 'client', id: clientId },
    fact: () => ({ type: 'grant.removed', target: `client/${clientId}`, audience }),
    change: async (transaction) => {
      await findClient(transaction, clientId)
      const row = await findApi(transaction, api)
      audience = row.audience
      await requireMayChange(transaction, clientId, row, [], administrator)
      const deleted = await transaction
        .deleteFrom('client_grants')
        .where('client_id', '=', clientId)
        .where('api_id', '=', row.id)
        .executeTakeFirst()
      if (!deleted.numDeletedRows) throw new Problem(404, 'not_found', 'this client has no grant for this API')
    },
  })
}

function requireDefined(scopes: readonly string[], api: ApiRow): void {
  const defined = scopesOf(api).map(({ name }) => name)
  const unknown = scopes.filter((scope) => !defined.includes(scope))
  if (unknown.length === 0) return
  const known = defined.length === 0 ? 'it defines none' : `it defines ${defined.join(' ').slice(0, 2000)}`
  throw invalid(
    unknown.slice(0, 20).map((scope) => ({
      path: 'scopes',
      message: `${api.audience} does not define "${scope}"; ${known}`,
    })),
  )
}

/** Over the admin API's grants rules who holds what is given and what is taken. */
async function requireMayChange(
  transaction: StoreTransaction,
  clientId: string,
  api: ApiRow,
  scopes: readonly string[],
  administrator: Administrator,
): Promise<void> {
  if (api.audience !== adminAudience) return
  const before = await transaction
    .selectFrom('client_grants')
    .select('scopes')
    .where('client_id', '=', clientId)
    .where('api_id', '=', api.id)
    .executeTakeFirst()
  requireHeld([...scopes, ...(before ? (JSON.parse(before.scopes) as string[]) : [])], administrator)
}
