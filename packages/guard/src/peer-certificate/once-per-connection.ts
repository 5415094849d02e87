import { type Bundle, type BundleSet, isSpiffeId, parseSpiffeId } from '@countersign/spiffe'
import type { PeerCertificate } from './peer-certificate.ts'

interface Verified<Result> {
  readonly result: Result
  readonly trustDomain: string | undefined
  /** Of the trust domain, when it was verified: another one means to verify again. */
  readonly bundle: Bundle | undefined
  readonly verifiedAt: number
}

const recheckSeconds = 60

/**
 * Verifies the certificate of a connection once a minute, and again where the bundle is another; its validity at every request, so
 * that an identity that has ended ends on open connections too. What throws is not remembered. `now` in seconds since the epoch.
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
      if (bundleOf(remembered.trustDomain) === remembered.bundle) return remembered.result
    }
    const result = verify(peer, now)
    const trustDomain = trustDomainOf(peer)
    known.set(peer, { result, trustDomain, bundle: bundleOf(trustDomain), verifiedAt: now })
    return result
  }
}

function isRecent({ verifiedAt }: Verified<unknown>, { leaf }: PeerCertificate, now: number): boolean {
  if (now < leaf.notBefore || now > leaf.notAfter) return false
  return now >= verifiedAt && now < verifiedAt + recheckSeconds
}

function trustDomainOf({ leaf: { uris } }: PeerCertificate): string | undefined {
  const [uri = ''] = uris
  return isSpiffeId(uri) ? parseSpiffeId(uri).trustDomain : undefined
}
