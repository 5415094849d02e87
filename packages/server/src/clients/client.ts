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
}

export interface GrantRecord {
  audience: string
  scopes: readonly string[]
  signingAlgorithm: SigningAlgorithm
  tokenLifetimeSeconds: number
}

/** Unreserved characters only, so that a client which does not form-encode its Basic credentials still works. */
export const clientIdPattern = /^[A-Za-z0-9][A-Za-z0-9._~-]{0,127}$/
