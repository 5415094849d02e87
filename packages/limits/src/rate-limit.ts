import { LimitsError } from './limits-error.ts'

/**
 * `quota` units per `windowSeconds`, spread evenly, with up to `burst` (default `quota`) at once.
 * `name` is published in the RateLimit headers; limits of one name share their counts.
 */
export interface RateLimit {
  name: string
  quota: number
  windowSeconds: number
  burst?: number
}

export interface LimitDecision {
  allowed: boolean
  limit: RateLimit
  /** Units left right now. */
  remaining: number
  /** Whole seconds until all units are back. */
  resetSeconds: number
  /** Whole seconds until the same call would pass; 0 when it was allowed. */
  retryAfterSeconds: number
}

export interface RateLimiter {
  /**
   * Takes `cost` units (default 1) of `key`'s share. A cost of 0 takes nothing and says whether 1 would pass.
   * Throws LimitsError: `invalid_limit`, or `store_unavailable` when it cannot be decided, and then the call is refused.
   */
  take(limit: RateLimit, key: string, cost?: number): LimitDecision | Promise<LimitDecision>
  close?(): Promise<void>
}

/** A limit in whole microseconds, the unit of the generic cell rate algorithm's arithmetic in both stores. */
export interface Cells {
  /** What one unit costs. */
  intervalMicroseconds: number
  /** How far ahead of the clock a key may be. */
  toleranceMicroseconds: number
}

const checkedLimits = new WeakMap<RateLimit, Cells>()

/** Throws LimitsError `invalid_limit` for a limit or cost that cannot be kept. */
export function cellsOf(limit: RateLimit, cost: number): Cells {
  let cells = checkedLimits.get(limit)
  if (cells === undefined) {
    cells = checkedCells(limit)
    checkedLimits.set(limit, cells)
  }
  if (!Number.isSafeInteger(cost) || cost < 0 || cost > (limit.burst ?? limit.quota)) {
    throw new LimitsError('invalid_limit', `a cost of ${cost} can never pass the limit "${limit.name}"`)
  }
  return cells
}

/**
 * The decision from how far ahead of the clock a key was (`aheadMicroseconds`, at least 0) before the call.
 * GCRA in its virtual scheduling form (ITU-T I.371 annex A).
 */
export function decide(
  limit: RateLimit,
  cells: Cells,
  cost: number,
  aheadMicroseconds: number,
): { decision: LimitDecision; aheadAfterMicroseconds: number } {
  const wanted = aheadMicroseconds + Math.max(cost, 1) * cells.intervalMicroseconds
  const allowed = wanted <= cells.toleranceMicroseconds
  const ahead = allowed && cost > 0 ? wanted : aheadMicroseconds
  return {
    aheadAfterMicroseconds: ahead,
    decision: {
      allowed,
      limit,
      remaining: Math.max(0, Math.floor((cells.toleranceMicroseconds - ahead) / cells.intervalMicroseconds)),
      resetSeconds: Math.ceil(ahead / 1_000_000),
      retryAfterSeconds: allowed ? 0 : Math.max(1, Math.ceil((wanted - cells.toleranceMicroseconds) / 1_000_000)),
    },
  }
}

function checkedCells(limit: RateLimit): Cells {
  const burst = limit.burst ?? limit.quota
  if (!/^[\x21\x23-\x5b\x5d-\x7e]{1,64}$/.test(limit.name)) {
    throw new LimitsError('invalid_limit', 'a limit needs a name of 1 to 64 visible ASCII characters without quotes')
  }
  for (const [what, value, most] of [
    ['quota', limit.quota, 1_000_000],
    ['windowSeconds', limit.windowSeconds, 31_536_000],
    ['burst', burst, 1_000_000],
  ] as const) {
    if (Number.isSafeInteger(value) && value >= 1 && value <= most) continue
    throw new LimitsError('invalid_limit', `${what} of limit "${limit.name}" must be a whole number of 1 to ${most}`)
  }
  // Rounded up, so that rounding never gives more than the quota.
  const intervalMicroseconds = Math.ceil((limit.windowSeconds * 1_000_000) / limit.quota)
  const toleranceMicroseconds = intervalMicroseconds * burst
  if (toleranceMicroseconds > 1e15) {
    throw new LimitsError('invalid_limit', `burst of limit "${limit.name}" is too large for its quota and window`)
  }
  return { intervalMicroseconds, toleranceMicroseconds }
}
