/**
 * One fact of authentication or administration. `type` is `noun.verb`; `outcome` says whether what was asked was done.
 * Values are plain and bounded: what came from outside is cut to 256 characters before it gets here.
 */
export interface AuditFact {
  type: string
  outcome: 'success' | 'failure'
  /** Who: the client that authenticated, or claimed to be */
  client_id?: string
  /** From where: the address that the request came from */
  address?: string
  /** Which credential: the id of a secret or the kid of a key, never the credential */
  credential?: string
  /** How: client_secret_basic, private_key_jwt, ... */
  method?: string
  /** Why refused, in words; more than the answer said */
  reason?: string
  audience?: string
  scope?: string
  jti?: string
  /** What an administrative change touched, such as `client/svc-a` */
  target?: string
  /** How many refusals this one row stands for */
  count?: number
  detail?: Record<string, string | number | boolean | null | readonly string[]>
}

/** Who makes a change, from where, by which credential; nobody where the program itself does. */
export type Actor = Pick<AuditFact, 'client_id' | 'address' | 'credential'>

/** A fact in its place: what is stored, hashed, exported and verified. */
export interface AuditEvent extends AuditFact {
  chain: string
  /** 1, 2, 3, ... within the chain */
  sequence: number
  /** RFC 3339 in UTC with milliseconds */
  time: string
}

export interface ChainedEvent extends AuditEvent {
  /** SHA-256, hex, over the previous event's hash, a line feed, and the RFC 8785 text of this event */
  hash: string
}

/** The newest event of a chain, signed with the audit key: proof that the chain reached at least this far. */
export interface AuditHead {
  chain: string
  sequence: number
  hash: string
  time: string
  /** Ed25519, base64url, over `countersign audit head`, a line feed, and the RFC 8785 text of the other members */
  signature: string
}
