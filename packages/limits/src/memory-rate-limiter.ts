import { LRUCache } from 'lru-cache'
import { cellsOf, decide, type LimitDecision, type RateLimit, type RateLimiter } from './rate-limit.ts'
import { storeKey } from './store-key.ts'

export interface MemoryRateLimiter extends RateLimiter {
  take(limit: RateLimit, key: string, cost?: number): LimitDecision
  /** What `take` would say now, taking nothing. */
  peek(limit: RateLimit, key: string): LimitDecision
}

export interface MemoryRateLimiterOptions {
  /** Milliseconds that only go forward; default the process's monotonic clock. */
  now?: () => number
  /** How many keys are remembered before the least recently used is forgotten. Default 100,000. */
  maximumKeys?: number
}

/** Rate limits of one process. For several replicas that must count together: createRedisRateLimiter. */
export function createMemoryRateLimiter(options: MemoryRateLimiterOptions = {}): MemoryRateLimiter {
  const { now = () => performance.now(), maximumKeys = 100_000 } = options
  // A key that was refused is remembered apart, where only other refused keys can push it out: a flood of fresh keys
  // must not give an exhausted one its quota back.
  // Bounded by size, not `max`: with that the cache takes its memory for all keys at once, and most never come.
  const bound = { maxSize: maximumKeys, sizeCalculation: () => 1 }
  const passing = new LRUCache<string, number>(bound)
  const refused = new LRUCache<string, number>(bound)

  function take(limit: RateLimit, key: string, cost = 1): LimitDecision {
    const cells = cellsOf(limit, cost)
    const nowMicroseconds = Math.floor(now() * 1_000)
    const stored = storeKey(limit.name, key)
    const fullAt = refused.get(stored) ?? passing.get(stored) ?? 0
    // The bound holds after a limit was lowered or a clock set back: nobody waits longer than for an empty bucket.
    const ahead = Math.min(Math.max(fullAt - nowMicroseconds, 0), cells.toleranceMicroseconds)
    const { decision, aheadAfterMicroseconds } = decide(limit, cells, cost, ahead)
    if (cost > 0) remember(stored, nowMicroseconds + aheadAfterMicroseconds, decision.allowed)
    return decision
  }

  function remember(stored: string, fullAt: number, allowed: boolean): void {
    const [into, outOf] = allowed ? [passing, refused] : [refused, passing]
    outOf.delete(stored)
    into.set(stored, fullAt)
  }

  return { take, peek: (limit, key) => take(limit, key, 0) }
}
