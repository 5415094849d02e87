/** Who is calling: the same shape whatever the credential was. Frozen through and through, since one caller serves many requests. */
export interface Caller {
  readonly method: CredentialMethod
  readonly clientId: string
  /** The token's `sub`: for a machine its client id, for an interactive token the user. */
  readonly subject: string
  readonly scopes: readonly string[]
  /** The audience of this guard that the credential was made for. */
  readonly audience: string
  readonly issuer: string
  /** What the caller proved himself with; for an access token the `kid` of the key that signed it. */
  readonly credentialId: string
  readonly tokenId?: string
  readonly spiffeId?: string
  readonly tenant?: string
  /** Seconds since the epoch. */
  readonly expiresAt?: number
  /** The key that the credential is bound to (RFC 7800 `cnf`). */
  readonly confirmation?: Readonly<Record<string, unknown>>
  /** All verified claims, as they were on the wire. */
  readonly claims: Readonly<Record<string, unknown>>
}

export type CredentialMethod =
  | 'access_token'
  | 'service_token'
  | 'api_key'
  | 'mtls'
  | 'jwt_svid'
  | 'internal_secret'
  | 'federated'

/** Freezes plain data (a tree) all the way down, so that a handler cannot change what the next request will see. */
export function deepFreeze<T extends object>(value: T): T {
  for (const name in value) {
    const member = value[name]
    if (typeof member === 'object' && member !== null) deepFreeze(member)
  }
  return Object.freeze(value)
}
