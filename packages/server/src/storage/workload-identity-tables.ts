/** The rows of workload identity. Times, truth values and lists as in the other tables. */

export interface CertificateAuthorityRow {
  id: string
  trust_domain: string
  /** `x509`: signs X.509-SVIDs. `jwt`: signs JWT-SVIDs, and its id is their `kid` */
  kind: string
  /** `prepared` (published, does not sign), `active`, `retired` (published while what it signed may live), `revoked` */
  status: string
  /** The CA's own certificate, DER in base64; null for `jwt` */
  certificate: string | null
  /** JSON list of base64 DER: what is sent after a leaf, this CA first, its root left out. Empty for a root of our own */
  chain: string
  /** JSON list of base64 DER: what others must trust for it, which is its own certificate or the upstream roots */
  roots: string
  /** SubjectPublicKeyInfo, DER in base64 */
  public_key: string
  /** PKCS#8, sealed under the master key; empty once retired or revoked */
  sealed_private_key: string
  created_at: number
  /** When an administrator asked that it sign as soon as it has been published for long enough */
  activation_asked_at: number | null
  activated_at: number | null
  retired_at: number | null
  /** Agents are told to renew what it has signed */
  tainted_at: number | null
  revoked_at: number | null
  expires_at: number
}

export interface BundleStateRow {
  trust_domain: string
  /** One more with each change of the trust domain's own bundle; never less, not even after a restore */
  sequence_number: number
  updated_at: number
}

/** What is known of another trust domain. */
export interface TrustBundleRow {
  trust_domain: string
  endpoint_url: string | null
  /** `https_web` or `https_spiffe` */
  endpoint_profile: string | null
  endpoint_spiffe_id: string | null
  /** The SPIFFE bundle document (JSON) as last accepted; null until there is one */
  bundle: string | null
  sequence_number: number | null
  refresh_hint: number | null
  fetched_at: number | null
  /** When it is to be fetched again; null where nothing is to be fetched */
  next_fetch_at: number | null
  /** Why the last attempt failed; null when it did not */
  failure: string | null
  failing_since: number | null
  created_at: number
  updated_at: number
}

export interface RegistrationEntryRow {
  id: string
  spiffe_id: string
  parent_id: string
  /** JSON: [{ type, value }], sorted */
  selectors: string
  /** Hash over SPIFFE ID, parent and selectors: no two entries are alike in all three */
  fingerprint: string
  /** Seconds; 0 for the server's default */
  x509_svid_ttl: number
  jwt_svid_ttl: number
  /** JSON list */
  dns_names: string
  hint: string
  /** JSON list of trust domains */
  federates_with: string
  admin: number
  downstream: number
  store_svid: number
  expires_at: number | null
  /** JSON, or null where the entry demands nothing beyond its selectors */
  policy: string | null
  /** One more with each update, beginning with 0 */
  revision_number: number
  created_at: number
  updated_at: number
}

export interface NodeRow {
  /** The agent's SPIFFE ID */
  id: string
  attestation_type: string
  /** JSON: [{ type, value }] */
  selectors: string
  /** Of the agent's SVID, hex; empty when it must attest again */
  serial_number: string
  expires_at: number
  /** Of a renewed SVID that was not used yet: its first use ends the one above */
  new_serial_number: string | null
  new_expires_at: number | null
  reattestable: number
  agent_version: string | null
  banned_at: number | null
  attested_at: number
  created_at: number
  updated_at: number
}

export interface JoinTokenRow {
  id: string
  /** Keyed SHA-256, hex */
  hash: string
  /** The SPIFFE ID that an entry gives the agent beside its own, if asked for */
  spiffe_id: string | null
  created_at: number
  expires_at: number
}

/** A join token that has let an agent join, until it would have expired: that agent may have lost the answer. */
export interface SpentJoinTokenRow {
  /** As it was in `join_tokens` */
  hash: string
  /** SHA-256 of the agent's public key (SubjectPublicKeyInfo), hex */
  public_key_hash: string
  /** Of the SVID that the agent got for it, hex */
  serial_number: string
  expires_at: number
}
