import type { ObtainedToken } from './token-source.ts'
import type { StoredToken } from './token-store.ts'

/** A token and what is needed to know how old it is. Times are milliseconds. */
export interface KeptToken {
  readonly stored: StoredToken
  readonly startedAt: number
  readonly monotonicStartedAt: number
  readonly lifetime: number
  /** Age from which it should be renewed. */
  readonly renewAfter: number
  /** Of the credential that it was got by, where it is bound to that. */
  readonly credentialVersion?: string
}

export interface KeptTokenClock {
  now: () => number
  monotonicNow: () => number
  random: () => number
  refreshAheadSeconds?: number
}

export interface Instant {
  wall: number
  monotonic: number
}

const toleratedSkewMilliseconds = 60_000

/** The token's life is counted from when the request left, so that delay errs to the safe side. */
export function keepObtained(
  { answer, asked }: ObtainedToken,
  scope: string | undefined,
  clock: KeptTokenClock,
): KeptToken {
  const obtainedAt = asked.wall / 1000
  const stored: StoredToken = {
    accessToken: answer.accessToken,
    tokenType: answer.tokenType,
    expiresAt: Math.floor(obtainedAt + answer.lifetimeSeconds),
    obtainedAt: Math.floor(obtainedAt),
  }
  // An answer without a scope means: as asked (RFC 6749 section 5.1).
  const granted = answer.scope ?? scope
  if (granted !== undefined) stored.scope = granted
  const lifetime = answer.lifetimeSeconds * 1000
  return {
    stored,
    startedAt: asked.wall,
    monotonicStartedAt: asked.monotonic,
    lifetime,
    renewAfter: renewAfter(lifetime, clock),
  }
}

/** What another process stored; undefined where it comes from the future, because then one clock is wrong. */
export function keepStored(stored: StoredToken, clock: KeptTokenClock): KeptToken | undefined {
  const startedAt = stored.obtainedAt * 1000
  const age = clock.now() - startedAt
  const lifetime = (stored.expiresAt - stored.obtainedAt) * 1000
  if (age < -toleratedSkewMilliseconds || lifetime <= 0) return undefined
  return {
    stored,
    startedAt,
    monotonicStartedAt: clock.monotonicNow() - Math.max(age, 0),
    lifetime,
    renewAfter: renewAfter(lifetime, clock),
  }
}

/**
 * The older of two clocks' opinions: the wall clock counts sleep but can be set back, the monotonic one
 * cannot be set back but may stop while the machine sleeps.
 */
export function ageOf(kept: KeptToken, clock: KeptTokenClock): number {
  return Math.max(clock.now() - kept.startedAt, clock.monotonicNow() - kept.monotonicStartedAt)
}

/** False shortly before the end already, so that the token does not expire on its way. */
export function isUsable(kept: KeptToken, clock: KeptTokenClock): boolean {
  return ageOf(kept, clock) < kept.lifetime - Math.min(5_000, kept.lifetime / 10)
}

export function needsRenewal(kept: KeptToken, clock: KeptTokenClock): boolean {
  return ageOf(kept, clock) >= kept.renewAfter
}

/** Give or take a quarter, so that processes that started together do not renew together. */
function renewAfter(lifetime: number, { random, refreshAheadSeconds }: KeptTokenClock): number {
  const ahead = refreshAheadSeconds === undefined ? lifetime / 10 : Math.min(refreshAheadSeconds * 1000, lifetime / 2)
  return lifetime - ahead * (0.75 + 0.5 * random())
}
