import type { DetailedPeerCertificate } from 'node:tls'
import { type GuardedFetchOptions, guardedFetch } from '@countersign/outbound'
import {
  type BundleSet,
  parseCertificate,
  parseSpiffeId,
  shownCertificates,
  toPem,
  verifyX509Svid,
} from '@countersign/spiffe'
import { largestBundle } from './accept-bundle.ts'

export type EndpointProfile = 'https_web' | 'https_spiffe'

/** Where another trust domain publishes its bundle, and how one knows that it is him (SPIFFE Federation, section 5). */
export interface BundleEndpoint {
  url: string
  profile: EndpointProfile
  /** Of `https_spiffe`: exactly this ID serves the bundle */
  spiffeId?: string | undefined
}

/**
 * The URL is an administrator's, so private addresses pass (trust domains federate within one network); plain http,
 * redirects and cloud metadata do not. @throws OutboundError
 */
const rules: GuardedFetchOptions = {
  allowPrivateAddresses: true,
  maximumBytes: largestBundle,
  timeoutMilliseconds: 5_000,
}

/**
 * Fetches a bundle document.
 * @param bundles by which an `https_spiffe` endpoint is known: the bundle of its ID's own trust domain
 * @param ca for tests: PEM certificates to trust instead of the system's, with `https_web`
 * @throws OutboundError, or Error with a sentence when the endpoint cannot be known, or the signal's reason
 */
export async function fetchBundle(
  { url, profile, spiffeId }: BundleEndpoint,
  context: { bundles: BundleSet; now: () => number; signal: AbortSignal; ca?: string | undefined },
): Promise<Buffer> {
  const { bundles, now, signal, ca } = context
  if (profile === 'https_web')
    return (await guardedFetch(url, { ...rules, signal, ...(ca !== undefined && { ca }) })).body
  const expected = parseSpiffeId(spiffeId ?? '')
  const authorities = bundles.get(expected.trustDomain)?.x509Authorities ?? []
  // Without any, TLS would fall back to the authorities of the web.
  if (authorities.length === 0) {
    throw new Error(
      `there is no bundle of ${expected.trustDomain}, by which ${expected.toString()} could be known: set one by hand`,
    )
  }
  const answer = await guardedFetch(url, {
    ...rules,
    signal,
    ca: authorities.map(({ der }) => toPem(der)),
    checkServerIdentity: (certificate) => refusalOf(certificate, expected.toString(), bundles, now()),
  })
  return answer.body
}

/** Judged once more by SPIFFE's own rules, which are stricter than those of TLS. */
function refusalOf(
  peer: DetailedPeerCertificate,
  expected: string,
  bundles: BundleSet,
  now: number,
): Error | undefined {
  try {
    const id = verifyX509Svid(
      shownCertificates(peer).map((der) => parseCertificate(der)),
      bundles,
      now,
    ).toString()
    if (id === expected) return undefined
    return new Error(`the endpoint is ${id}, not ${expected}`)
  } catch (error) {
    return error as Error
  }
}
