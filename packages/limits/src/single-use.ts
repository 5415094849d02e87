/**
 * What a use was: the `first`; the same use `again`, at the same place; of something `used` elsewhere or before; or
 * `unknowable`, as it may have been used before this memory began, or would not be remembered.
 */
export type UseOutcome = 'first' | 'again' | 'used' | 'unknowable'

/** Remembers single-use identifiers (a JWT's `jti`) until they expire. */
export interface SingleUse {
  /**
   * True the first time `id` is seen before `expiresAt` (seconds since the epoch, leeway included), false after that;
   * false too when `expiresAt` has passed, as nothing would be remembered. Put what scopes the identifier (issuer,
   * receiver) into `id`.
   * Throws LimitsError `capacity` or `store_unavailable` when it cannot tell: refuse then.
   */
  firstUse(id: string, expiresAt: number): boolean | Promise<boolean>

  /**
   * As `firstUse`, for what says when it was issued and may stand in one place for good, such as a token in a Kafka
   * record. Only `first` and `again` may pass.
   * @param use.issuedAt seconds since the epoch, with a fraction
   * @param use.place where it stands (topic, partition and offset); the same place again is no second use
   */
  use(id: string, expiresAt: number, use: { issuedAt: number; place?: string }): UseOutcome | Promise<UseOutcome>
}
