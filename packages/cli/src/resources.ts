/** The admin API's resources as they travel. Times are RFC 3339, durations whole seconds. */
export interface Api {
  id: string
  audience: string
  name: string
  scopes: { name: string; description: string }[]
  signing_alg: string
  token_ttl: number
  introspectors: string[]
  created_at: string
  updated_at: string
}

export interface Client {
  id: string
  name: string
  disabled: boolean
  default_audience: string | null
  auth_methods: string[] | null
  assertion_audience: string
  jwks_uri: string | null
  created_at: string
  updated_at: string
  client_secret?: string
  secret_id?: string
}

export interface ClientSecret {
  id: string
  client_id: string
  label: string | null
  created_at: string
  expires_at: string | null
  last_used_at: string | null
  expired: boolean
  client_secret?: string
}

export interface ClientKey {
  id: string
  client_id: string
  kid: string
  algorithm: string
  jwk: Record<string, unknown>
  label: string | null
  created_at: string
  last_used_at: string | null
}

export interface Grant {
  client_id: string
  api_id: string
  audience: string
  scopes: string[]
  created_at: string
}

export interface Service {
  name: string
  jwks: { keys: Record<string, string>[] }
  created_at: string
  updated_at: string
}

export interface SigningKey {
  kid: string
  algorithm: string
  status: 'next' | 'active' | 'retired' | 'revoked'
  created_at: string
  activated_at: string | null
  retired_at: string | null
  revoked_at: string | null
  public_jwk: Record<string, unknown>
}

export interface AuditEvent {
  chain: string
  sequence: number
  time: string
  type: string
  outcome: string
  client_id?: string
  address?: string
  reason?: string
  audience?: string
  scope?: string
  target?: string
  count?: number
  hash: string
}

export interface AuditHead {
  chain: string
  sequence: number
  hash: string
  time: string
  signature: string
}
