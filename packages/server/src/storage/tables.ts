import type {
  BundleStateRow,
  CertificateAuthorityRow,
  JoinTokenRow,
  NodeRow,
  RegistrationEntryRow,
  SpentJoinTokenRow,
  TrustBundleRow,
} from './workload-identity-tables.ts'

/**
 * The tables, the same on SQLite and PostgreSQL. Times are whole seconds since the epoch, truth values 0 or 1,
 * and what is a list or an object is JSON text: both databases store these alike.
 */
export interface Tables {
  apis: ApiRow
  clients: ClientRow
  client_secrets: ClientSecretRow
  client_keys: ClientKeyRow
  client_grants: ClientGrantRow
  services: ServiceRow
  signing_keys: SigningKeyRow
  certificate_authorities: CertificateAuthorityRow
  bundle_state: BundleStateRow
  trust_bundles: TrustBundleRow
  registration_entries: RegistrationEntryRow
  nodes: NodeRow
  join_tokens: JoinTokenRow
  spent_join_tokens: SpentJoinTokenRow
  revocations: RevocationRow
  used_assertions: UsedAssertionRow
  audit_events: AuditEventRow
  audit_heads: AuditHeadRow
  changes: ChangeRow
  store_revision: StoreRevisionRow
  settings: SettingRow
}

export interface ApiRow {
  id: string
  audience: string
  name: string
  /** JSON: [{ name, description }] */
  scopes: string
  signing_alg: string
  token_ttl: number
  /** JSON: client ids that may introspect this API's tokens and read its revocations */
  introspectors: string
  created_at: number
  updated_at: number
}

export interface ClientRow {
  id: string
  name: string
  disabled: number
  default_audience: string | null
  /** JSON list of methods, or null for every method that the client has a credential for */
  auth_methods: string | null
  /** What an assertion's `aud` must be: the issuer, or (opted in) also the token endpoint */
  assertion_audience: string
  jwks_uri: string | null
  /** JSON: SPIFFE IDs, exact or with `/*` at the end */
  spiffe_ids: string
  /** JSON: the one name that its certificates must have, { subject_dn } or { san_dns } and so on */
  tls_client_auth: string | null
  created_at: number
  updated_at: number
}

export interface ClientSecretRow {
  id: string
  client_id: string
  /** Keyed SHA-256, hex */
  hash: string
  label: string | null
  created_at: number
  expires_at: number | null
  last_used_at: number | null
}

export interface ClientKeyRow {
  id: string
  client_id: string
  kid: string
  jwk: string
  /** Base64 of the DER certificate that the client shows for it (self_signed_tls_client_auth) */
  certificate: string | null
  label: string | null
  created_at: number
  last_used_at: number | null
}

export interface ClientGrantRow {
  client_id: string
  api_id: string
  /** JSON list of scope names */
  scopes: string
  created_at: number
}

export interface ServiceRow {
  /** Without `-service` at its end */
  name: string
  /** JSON list of public JWKs as they are published */
  keys: string
  created_at: number
  updated_at: number
}

export interface SigningKeyRow {
  kid: string
  algorithm: string
  status: string
  public_jwk: string
  /** PKCS#8, sealed under the master key */
  sealed_private_key: string
  created_at: number
  activated_at: number | null
  retired_at: number | null
  revoked_at: number | null
}

export interface RevocationRow {
  /** From the store's revision counter, so that a feed reader misses none */
  revision: number
  /** Exactly one of `jti`, `client_id` with `before`, `kid`, and `serial` */
  jti: string | null
  client_id: string | null
  before: number | null
  kid: string | null
  /** Of a certificate: lower-case hex as it is written in it */
  serial: string | null
  /** Whose certificate, or JWT-SVID with this `jti`, has ended */
  spiffe_id: string | null
  /** The API whose tokens this concerns; null where it concerns all */
  audience: string | null
  /** After this no token it speaks of is alive, and the row may go */
  expires_at: number
}

export interface UsedAssertionRow {
  id: string
  expires_at: number
}

export interface AuditEventRow {
  chain: string
  sequence: number
  time: string
  type: string
  outcome: string
  client_id: string | null
  /** RFC 8785 text of the whole event; what the hash covers */
  event: string
  hash: string
}

export interface AuditHeadRow {
  chain: string
  sequence: number
  hash: string
  time: string
  signature: string
}

export interface ChangeRow {
  revision: number
  kind: string
  id: string
  at: number
}

export interface StoreRevisionRow {
  id: number
  value: number
}

export interface SettingRow {
  name: string
  value: string
}
