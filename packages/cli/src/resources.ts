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
  spiffe_ids: string[]
  tls_client_auth: Record<string, string> | null
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

export interface Entry {
  id: string
  spiffe_id: string
  parent_id: string
  selectors: string[]
  /** 0: as the server has it configured */
  x509_svid_ttl: number
  jwt_svid_ttl: number
  dns_names: string[]
  hint: string
  federates_with: string[]
  admin: boolean
  downstream: boolean
  store_svid: boolean
  expires_at: string | null
  policy: EntryPolicy | null
  revision_number: number
  created_at: string
  updated_at: string
}

export interface EntryPolicy {
  binary_sha256?: string[]
  not_root?: boolean
  node_attested_within?: number
}

export interface Node {
  spiffe_id: string
  attestation_type: string
  selectors: string[]
  serial_number: string
  banned: boolean
  banned_at: string | null
  reattestable: boolean
  agent_version: string | null
  attested_at: string
  expires_at: string
}

export interface JoinToken {
  id: string
  spiffe_id: string | null
  /** Both only in the answer to its making */
  token?: string
  agent_id?: string
  created_at: string
  expires_at: string
}

export interface CertificateAuthority {
  id: string
  kind: 'x509' | 'jwt'
  status: 'prepared' | 'active' | 'retired' | 'revoked'
  created_at: string
  activation_asked_at: string | null
  activated_at: string | null
  retired_at: string | null
  tainted_at: string | null
  revoked_at: string | null
  expires_at: string
}

export interface TrustBundle {
  trust_domain: string
  endpoint_url: string | null
  endpoint_profile: string | null
  endpoint_spiffe_id: string | null
  sequence_number: number | null
  fetched_at: string | null
  failure: string | null
  /** A SPIFFE bundle document; not in lists */
  bundle: object | null
}

export interface IssuedCertificate {
  serial_number: string
  expires_at: string
  /** PEM, leaf first */
  certificate: string
  /** PEM */
  ca_bundle: string
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
  detail?: Record<string, unknown>
  hash: string
}

export interface AuditHead {
  chain: string
  sequence: number
  hash: string
  time: string
  signature: string
}
