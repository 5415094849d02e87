import { LimitsError } from './limits-error.ts'
import type { SingleUse, UseOutcome } from './single-use.ts'
import { storeKey } from './store-key.ts'

export interface MemorySingleUse extends SingleUse {
  firstUse(id: string, expiresAt: number): boolean
  use(id: string, expiresAt: number, use: { issuedAt: number; place?: string }): UseOutcome
  /** Seconds since the epoch, with a fraction. What was used before is not known here. */
  readonly startedAt: number
}

export interface MemorySingleUseOptions {
  /** Milliseconds since the epoch. Default Date.now. */
  now?: () => number
  /** Milliseconds that only go forward; default the process's monotonic clock. */
  monotonicNow?: () => number
  /** Default 200,000. */
  maximumEntries?: number
}

/**
 * Single use within one process. When it is full of unexpired identifiers it throws LimitsError `capacity` rather than
 * forget one: a flood must not make a used assertion usable again.
 */
export function createMemorySingleUse(options: MemorySingleUseOptions = {}): MemorySingleUse {
  const { now = Date.now, monotonicNow = () => performance.now(), maximumEntries = 200_000 } = options
  const uses = new Map<string, Use>()
  let sweptAt = Number.NEGATIVE_INFINITY

  const startedAt = now() / 1_000

  function firstUse(id: string, expiresAt: number): boolean {
    return use(id, expiresAt, { issuedAt: startedAt }) === 'first'
  }

  function use(id: string, expiresAt: number, { issuedAt, place }: { issuedAt: number; place?: string }): UseOutcome {
    const nowSeconds = now() / 1_000
    const steadySeconds = monotonicNow() / 1_000
    if (!(expiresAt > nowSeconds)) return 'unknowable'
    sweep(nowSeconds, steadySeconds)
    const key = storeKey(id)
    const made = { expiresAt, steadyExpiresAt: steadySeconds + expiresAt - nowSeconds, place: placeKey(place) }
    const known = uses.get(key)
    if (known !== undefined && !hasExpired(known, nowSeconds, steadySeconds)) {
      if (known.place === undefined || known.place !== made.place) return 'used'
      extend(known, made)
      return 'again'
    }
    if (!(issuedAt >= startedAt && Number.isFinite(issuedAt))) return 'unknowable'
    if (known === undefined && uses.size >= maximumEntries) {
      throw new LimitsError(
        'capacity',
        `${maximumEntries} unexpired identifiers are remembered; no more can be accepted`,
      )
    }
    uses.set(key, made)
    return 'first'
  }

  /** At most once a second, so that a flood pays for one pass and not for one per identifier. */
  function sweep(nowSeconds: number, steadySeconds: number): void {
    if (steadySeconds - sweptAt < 1) return
    sweptAt = steadySeconds
    for (const [key, use] of uses) if (hasExpired(use, nowSeconds, steadySeconds)) uses.delete(key)
  }

  return { firstUse, use, startedAt }
}

interface Use {
  expiresAt: number
  steadyExpiresAt: number
  place: string | undefined
}

/** Hashed when long, as an identifier is. */
function placeKey(place: string | undefined): string | undefined {
  return place === undefined ? undefined : storeKey(place)
}

function extend(known: Use, made: Use): void {
  known.expiresAt = Math.max(known.expiresAt, made.expiresAt)
  known.steadyExpiresAt = Math.max(known.steadyExpiresAt, made.steadyExpiresAt)
}

/** By both clocks: one that leaps ahead and is set back again must not make a used identifier usable in between. */
function hasExpired(use: Use, nowSeconds: number, steadySeconds: number): boolean {
  return use.expiresAt <= nowSeconds && use.steadyExpiresAt <= steadySeconds
}
