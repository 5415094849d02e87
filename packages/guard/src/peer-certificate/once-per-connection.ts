import { type Bundle, type BundleSet, isSpiffeId, parseSpiffeId, SpiffeError } from '@countersign/spiffe'
import type { PeerCertificate } from './peer-certificate.ts'

interface Verified<Result> {
  readonly outcome: { readonly result: Result } | { readonly refusal: SpiffeError }
  readonly trustDomain: string | undefined
  /** Of the trust domain, when it was verified: another one means to verify again. */
  readonly bundle: Bundle | undefined
  readonly verifiedAt: number
}

const recheckSeconds = 60

/**
 * Verifies the certificate of a connection once a minute, and again where the bundle is another; its validity at every request, so
 * that an identity that has ended ends on open connections too. That a chain does not hold is remembered as well: to find it out
 * again for each request would cost far more than to send one. That there is no bundle is not. `now` in seconds since the epoch.
 */
export function oncePerConnection<Result>(
  bundles: BundleSet | undefined,
  verify: (peer: PeerCertificate, now: number) => Result,
): (peer: PeerCertificate, now: number) => Result {
  const known = new WeakMap<PeerCertificate, Verified<Result>>()
  const bundleOf = (trustDomain: string | undefined) =>
    trustDomain === undefined ? undefined : bundles?.get(trustDomain)

  return (peer, now) => {
    const remembered = known.get(peer)
    if (remembered !== undefined && isRecent(remembered, peer, now)) {
      if (bundleOf(remembered.trustDomain) === remembered.bundle) return resultOf(remembered)
    }
    const trustDomain = trustDomainOf(peer)
    const verified = { outcome: outcomeOf(() => verify(peer, now)), trustDomain, verifiedAt: now }
    const fresh = { ...verified, bundle: bundleOf(trustDomain) }
    known.set(peer, fresh)
    return resultOf(fresh)
  }
}

function outcomeOf<Result>(verify: () => Result): Verified<Result>['outcome'] {
  try {
    return { result: verify() }
  } catch (error) {
    if (!(error instanceof SpiffeError) || error.code === 'unavailable') throw error
    return { refusal: error }
  }
}

function resultOf<Result>({ outcome }: Verified<Result>): Result {
  if ('refusal' in outcome) throw outcome.refusal
  return outcome.result
}

function isRecent({ verifiedAt }: Verified<unknown>, { leaf }: PeerCertificate, now: number): boolean {
  if (now < leaf.notBefore || now > leaf.notAfter) return false
  return now >= verifiedAt && now < verifiedAt + recheckSeconds
}

function trustDomainOf({ leaf: { uris } }: PeerCertificate): string | undefined {
  const [uri = ''] = uris
  return isSpiffeId(uri) ? parseSpiffeId(uri).trustDomain : undefined
}
