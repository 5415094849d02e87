import type { SigningAlgorithm, VerificationKey } from '@countersign/tokens'

/** A client as the token endpoint needs it: read once, kept in memory, forgotten when anything of it changes. */
export interface ClientRecord {
  id: string
  name: string
  disabled: boolean
  defaultAudience: string | undefined
  /** Undefined: every method for which it has a credential */
  authMethods: readonly string[] | undefined
  assertionAudience: 'issuer' | 'token_endpoint'
  jwksUri: string | undefined
  /** Its workloads: exact, or with `/*` at the end */
  spiffeIds: readonly string[]
  /** The one name that its certificates must have */
  tlsClientAuth: TlsClientAuth | undefined
  secrets: readonly SecretRecord[]
  keys: readonly KeyRecord[]
  /** By audience */
  grants: ReadonlyMap<string, GrantRecord>
}

export interface SecretRecord {
  id: string
  hash: Buffer
  expiresAt: number | undefined
}

export interface KeyRecord {
  id: string
  key: VerificationKey
  /** The certificate that the client shows for it, in DER */
  certificate: Buffer | undefined
}

/** RFC 8705 section 2.1.2: exactly one of these says which certificates are the client's. */
export const tlsClientAuthNames = ['subject_dn', 'san_dns', 'san_uri', 'san_ip', 'san_email'] as const

export interface TlsClientAuth {
  name: (typeof tlsClientAuthNames)[number]
  value: string
}

export interface GrantRecord {
  audience: string
  scopes: readonly string[]
  signingAlgorithm: SigningAlgorithm
  tokenLifetimeSeconds: number
}

/** Unreserved characters only, so that a client which does not form-encode its Basic credentials still works. */
export const clientIdPattern = /^[A-Za-z0-9][A-Za-z0-9._~-]{0,127}$/
