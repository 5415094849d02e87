/** Remembers single-use identifiers (a JWT's `jti`) until they expire. */
export interface SingleUse {
  /**
   * True the first time `id` is seen before `expiresAt` (seconds since the epoch, leeway included), false after that;
   * false too when `expiresAt` has passed, as nothing would be remembered. Put what scopes the identifier (issuer,
   * receiver) into `id`.
   * Throws LimitsError `capacity` or `store_unavailable` when it cannot tell: refuse then.
   */
  firstUse(id: string, expiresAt: number): boolean | Promise<boolean>
}
