import { type Caller, GuardError } from '@countersign/guard'
import { Problem } from '../problem.ts'
import type { Session } from '../session/session.ts'

export interface TenantRules {
  /** `multiTenant` of the document. */
  readonly multiTenant: boolean
  /** Named in challenges. */
  readonly realm: string
}

interface TenantSources {
  readonly caller: Caller | undefined
  readonly session: Session | undefined
  named(): readonly string[]
}

/**
 * The tenant of a call. What is proven decides: the signed claim of a service token, or the session. What header or host
 * say must then be the same, and counts alone only where nothing is proven. In a service of one tenant they count nothing.
 */
export function tenantOf({ caller, session, named }: TenantSources, rules: TenantRules): string | undefined {
  const proven = caller !== undefined ? caller.tenant : session?.tenant
  if (!rules.multiTenant) return proven
  const [said, ...others] = new Set(named())
  if (others.length > 0)
    throw new Problem(400, 'tenant_contradiction', 'header and host name different tenants; name one')
  if (caller !== undefined) return provenByToken(proven, said, rules)
  if (session !== undefined) return provenBySession(proven, said)
  if (said === undefined) throw new Problem(400, 'tenant_missing', 'say for which tenant the call is made')
  return said
}

function provenByToken(proven: string | undefined, said: string | undefined, { realm }: TenantRules): string {
  if (proven !== undefined && (said === undefined || said === proven)) return proven
  const message =
    proven === undefined
      ? 'The service token is not signed for a tenant, and this service needs one.'
      : 'The service token is signed for another tenant than the header or host of the call names.'
  throw new GuardError({ code: 'InvalidM2MToken', reason: 'tenant', message, realm })
}

/** Whoever is logged in at one tenant is nobody at another. */
function provenBySession(proven: string | undefined, said: string | undefined): string {
  if (proven === undefined)
    throw new Problem(403, 'wrong_tenant', 'the session belongs to no tenant, and this service needs one', {
      reason: 'tenant',
    })
  if (said !== undefined && said !== proven)
    throw new Problem(403, 'wrong_tenant', 'the session belongs to another tenant', { reason: 'tenant' })
  return proven
}
