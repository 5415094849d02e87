/**
 * When to renew what came at `receivedAt` (milliseconds since the epoch) and is good until `expiresAt` (seconds): when
 * half of that time is over, a tenth of it earlier or later, so that what was issued together is not renewed together.
 *
 * The time it came counts, not its `notBefore`: servers date that back by ten seconds or more, and of a short life half
 * would be over at once.
 * @param random from 0 up to 1
 * @returns milliseconds since the epoch
 */
export function renewalTime(receivedAt: number, expiresAt: number, random: () => number): number {
  const life = Math.max(0, expiresAt * 1000 - receivedAt)
  return Math.round(receivedAt + Math.max(shortestMilliseconds, life * (0.5 + (random() - 0.5) * 0.2)))
}

/** A server that issues what has all but expired is not asked more often. */
const shortestMilliseconds = 500
