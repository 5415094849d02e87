import type { Actor } from '../audit/event.ts'
import { Problem } from '../http/problem.ts'
import type { Database } from '../storage/store.ts'
import { adminAudience } from './admin-scopes.ts'

/** Who makes a change. The program itself (a bootstrap, a test) leaves `holds` out and may do everything. */
export interface Administrator extends Actor {
  /** Scopes of the admin API that he holds now */
  holds?: readonly string[]
}

/** The part that goes into audit events. */
export function actorOf({ client_id, address, credential }: Administrator): Actor {
  return {
    ...(client_id !== undefined && { client_id }),
    ...(address !== undefined && { address }),
    ...(credential !== undefined && { credential }),
  }
}

/**
 * Nobody hands out power over this server that he does not hold himself.
 * @throws Problem `insufficient_scope` naming what he lacks
 */
export function requireHeld(scopes: readonly string[], administrator: Administrator): void {
  const { holds } = administrator
  if (holds === undefined) return
  const lacking = scopes.filter((scope) => !holds.includes(scope))
  if (lacking.length === 0) return
  const named = [...new Set(lacking)].join(' ')
  throw new Problem(
    403,
    'insufficient_scope',
    `this touches scopes of ${adminAudience} that you do not hold yourself: ${named.slice(0, 500)}`,
    { scope: named.slice(0, 500) },
  )
}

/**
 * Whoever can add a credential to an administrator can become him, so changing a client takes every scope of the admin
 * API that this client holds.
 * @throws Problem `insufficient_scope`
 */
export async function requireHeldOfClient(
  database: Database,
  clientId: string,
  administrator: Administrator,
): Promise<void> {
  if (administrator.holds === undefined) return
  const grant = await database
    .selectFrom('client_grants')
    .innerJoin('apis', 'apis.id', 'client_grants.api_id')
    .select('client_grants.scopes')
    .where('apis.audience', '=', adminAudience)
    .where('client_grants.client_id', '=', clientId)
    .executeTakeFirst()
  if (grant) requireHeld(JSON.parse(grant.scopes), administrator)
}
