import type { Caller, ServiceCaller, ServiceTokenPayload } from '@countersign/guard'
import type { AuthOptions } from './document/service-document.ts'
import type { Session, SessionVerifier } from './session/session.ts'
import { type TenantRules, tenantOf } from './tenant/tenant.ts'

/** What a transport knows of a call's credentials, before any of them is looked at. */
export interface Credentials {
  /** Whether anything stands where a service token may stand, good or bad. */
  carriesServiceToken(): boolean
  /** The caller behind the call's service token. Rejects with GuardError, also where there is none (`RequiresM2MToken`). */
  verifyServiceToken(): Promise<ServiceCaller>
  /** The token that a session is made from. Throws GuardError where it is carried wrongly. */
  sessionToken(): string | undefined
  /** The tenants that header and host name: not proven by anything. Throws Problem where one is malformed. */
  namedTenants(): readonly string[]
}

/** Who was let in. */
export interface Admission {
  readonly caller: Caller | undefined
  /** The verified claims, where the call came with a service token. */
  readonly m2mPayload: ServiceTokenPayload | undefined
  readonly session: Session | undefined
  readonly tenant: string | undefined
}

export interface AdmissionRules {
  readonly sessions: SessionVerifier
  readonly tenants: TenantRules
}

/**
 * The decision table of authOptions and edgeControllerOptions, for every transport alike.
 *
 * A service token that is present where it is allowed decides alone: an invalid one is an error and never falls back to
 * the session. Where it is not allowed it is not looked at.
 * Rejects with GuardError, or with Problem for a tenant.
 */
export async function admit(auth: AuthOptions, credentials: Credentials, rules: AdmissionRules): Promise<Admission> {
  const byToken = auth.M2MAllowed && (!auth.loginRequired || credentials.carriesServiceToken())
  const caller = byToken ? await credentials.verifyServiceToken() : undefined
  const session = !byToken && auth.loginRequired ? await rules.sessions.verify(credentials.sessionToken()) : undefined
  return {
    caller: caller ?? session?.caller,
    m2mPayload: caller?.claims,
    session,
    tenant: tenantOf({ caller, session, named: () => credentials.namedTenants() }, rules.tenants),
  }
}
