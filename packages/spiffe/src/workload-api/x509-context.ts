import { type Bundle, createBundle } from '../bundles/bundle.ts'
import { parseCertificates } from '../certificates/certificate.ts'
import type { X509BundlesResponse, X509SVIDResponse } from '../protocol/workload-api.ts'
import { quoted, SpiffeError } from '../spiffe-error.ts'
import { parseX509Svid, type X509Svid } from '../svids/x509-svid.ts'
import { type OnUnreadable, readBundles, type TrustBundles, throwUnreadable } from './received-bundles.ts'

/** What the Workload API says a workload is and whom it may believe. Each replaces the one before it whole. */
export interface X509Context {
  /** The first is the default. */
  readonly svids: readonly [X509Svid, ...X509Svid[]]
  readonly bundles: TrustBundles
}

/** @throws SpiffeError `invalid_svid`, `invalid_bundle`, `invalid_certificate`; `no_identity` when there is no SVID */
export function readX509Context(response: X509SVIDResponse, onUnreadable: OnUnreadable = throwUnreadable): X509Context {
  if (response.svids.length === 0) throw new SpiffeError('no_identity', 'the agent answered without any X.509-SVID')
  const bundles = readBundles(response.federatedBundles, x509Bundle, onUnreadable)
  const svids = response.svids.map((message) => {
    const svid = parseX509Svid(message.x509Svid, message.x509SvidKey, message.hint)
    if (svid.id.toString() !== message.spiffeId) {
      throw new SpiffeError('invalid_svid', `the agent says ${quoted(message.spiffeId)} of an SVID for ${svid.id}`)
    }
    // One's own trust domain's bundle stands, whatever came as a federated one of the same name.
    bundles.set(svid.id.trustDomain, x509Bundle(svid.id.trustDomain, message.bundle))
    return svid
  })
  return { svids: svids as [X509Svid, ...X509Svid[]], bundles }
}

/** @throws SpiffeError `invalid_bundle`, `invalid_certificate`, `invalid_spiffe_id` */
export function readX509Bundles(response: X509BundlesResponse, onUnreadable = throwUnreadable): TrustBundles {
  return readBundles(response.bundles, x509Bundle, onUnreadable)
}

function x509Bundle(trustDomain: string, der: Uint8Array): Bundle {
  return createBundle({ trustDomain, x509Authorities: parseCertificates(der) })
}
