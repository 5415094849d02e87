/** What a revocation may name of an access token. */
export interface RevocableToken {
  readonly jti: string
  readonly client_id: string
  /** Seconds since the epoch. */
  readonly iat: number
  readonly kid?: string
  readonly iss: string
}

/** Knows what was revoked before its time. */
export interface RevocationSource {
  isRevoked(token: RevocableToken): boolean
  /** Whether an X.509-SVID of the server's own trust domain is revoked; `serial` in lower-case hex. */
  isRevokedSerial?(serial: string): boolean
  /** Whether a JWT-SVID of the server's own trust domain is revoked, by its `jti` or by the key that signed it. */
  isRevokedJwtSvid?(svid: { readonly jti?: string; readonly kid?: string }): boolean
  /**
   * True while the list is young enough to decide by; a promise while it is being fetched for the first time; false
   * refuses every token until the list can be had. A source without it is always current.
   */
  isCurrent?(): boolean | Promise<boolean>
  /** Calls back with each revoked `kid`, those already known included. */
  onRevokedKey?(listener: (kid: string, issuer: string | undefined) => void): void
  start(): void
  stop(): Promise<void>
}
