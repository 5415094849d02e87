import type { AuditLog } from '../audit/log.ts'
import type { MasterKey } from '../sealing/master-key.ts'
import type { Store } from '../storage/store.ts'
import type { UpstreamFiles } from './upstream-ca.ts'

/** `x509` signs X.509-SVIDs, `jwt` signs JWT-SVIDs: two authorities, two lives. */
export type AuthorityKind = 'x509' | 'jwt'
export const authorityKinds: readonly AuthorityKind[] = ['x509', 'jwt']

export type AuthorityStatus = 'prepared' | 'active' | 'retired' | 'revoked'

/** What the life of the trust domain's authorities depends on. */
export interface AuthorityContext {
  store: Store
  masterKey: MasterKey
  audit: AuditLog
  /** Seconds since the epoch */
  now: () => number
  trustDomain: string
  lifetimeSeconds: number
  /** How long an authority is published, at least, before it signs */
  publishAheadSeconds: number
  /** Where our CA is an intermediate; a root of our own without it */
  upstream?: UpstreamFiles | undefined
}
