/**
 * When to renew what is good from `notBefore` to `notAfter` (seconds): at half its life, up to a tenth of that life
 * earlier or later, so that what was issued together is not renewed together.
 * @param random from 0 up to 1
 * @returns milliseconds since the epoch
 */
export function renewalTime(notBefore: number, notAfter: number, random: () => number): number {
  const life = (notAfter - notBefore) * 1000
  return Math.round(notBefore * 1000 + life * (0.5 + (random() - 0.5) * 0.2))
}
