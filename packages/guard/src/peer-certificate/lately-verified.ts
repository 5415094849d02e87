import type { Bundle, BundleSet, Certificate } from '@countersign/spiffe'

/** What was found of a certificate, and what that rests on. */
export interface LatelyVerified {
  readonly leaf: Certificate
  /** Undefined for a certificate that was verified by CAs, not by a trust domain's bundle. */
  readonly trustDomain: string | undefined
  /** Of the trust domain, when it was verified: another one means to verify again. */
  readonly bundle: Bundle | undefined
  /** Seconds since the epoch. */
  readonly verifiedAt: number
}

const recheckSeconds = 60

/**
 * Whether a certificate that was verified is still good without its signatures being checked again: for a minute, by the
 * same bundle. Its validity is looked at every time, so that an identity that has ended ends on open connections too.
 */
export function isStillGood(when: LatelyVerified, bundles: BundleSet | undefined, now: number): boolean {
  if (now < when.leaf.notBefore || now > when.leaf.notAfter) return false
  if (now < when.verifiedAt || now >= when.verifiedAt + recheckSeconds) return false
  return when.trustDomain === undefined || bundles?.get(when.trustDomain) === when.bundle
}
