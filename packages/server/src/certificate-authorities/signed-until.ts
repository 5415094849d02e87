import { CaUnavailable } from './ca-unavailable.ts'

/** Never later than what signs it. @throws CaUnavailable where nothing it signs would be believed */
export function signedUntil(
  wanted: number,
  { notBefore = 0, notAfter }: { notBefore?: number; notAfter: number },
  now: number,
): number {
  if (now >= notAfter) {
    throw new CaUnavailable('the active authority has expired and its successor is not there yet: see the log for why')
  }
  if (now < notBefore) {
    throw new CaUnavailable(
      `the active CA is valid from ${new Date(notBefore * 1000).toISOString()} only: it was made by a clock that is ahead; correct the clocks, then: countersign ca rotate --force`,
    )
  }
  return Math.min(wanted, notAfter)
}
