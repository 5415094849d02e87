import { type Bundle, formatJwtBundle } from '@countersign/spiffe'
import type { X509BundlesResponse, X509SVIDResponse } from '@countersign/spiffe/protocol/workload-api'
import type { IssuedX509Svid } from '../svids/issue-x509-svids.ts'

/** The trust domain of this agent, and others that an entry federates with. */
export interface KnownBundles {
  readonly own: Bundle
  readonly federated: readonly Bundle[]
}

/** SPIFFE Workload API, section 5.2: chains and bundles as concatenated DER, keys as PKCS#8 DER. */
export function x509SvidResponse(svids: readonly IssuedX509Svid[], bundles: KnownBundles): X509SVIDResponse {
  const bundle = concatenated(bundles.own)
  return {
    svids: svids.map((svid) => ({
      spiffeId: svid.entry.spiffeId,
      x509Svid: Buffer.concat(svid.certificates.map(({ der }) => der)),
      x509SvidKey: svid.privateKey.export({ type: 'pkcs8', format: 'der' }),
      bundle,
      hint: svid.entry.hint,
    })),
    crl: [],
    federatedBundles: Object.fromEntries(
      bundles.federated.map((federated) => [keyOf(federated), concatenated(federated)]),
    ),
  }
}

export function x509BundlesResponse(bundles: KnownBundles): X509BundlesResponse {
  return { crl: [], bundles: Object.fromEntries(all(bundles).map((bundle) => [keyOf(bundle), concatenated(bundle)])) }
}

/** Each a JWKS of keys for JWT-SVIDs alone. */
export function jwtBundles(bundles: KnownBundles): { [trustDomain: string]: Buffer } {
  return Object.fromEntries(all(bundles).map((bundle) => [keyOf(bundle), Buffer.from(formatJwtBundle(bundle))]))
}

function all({ own, federated }: KnownBundles): Bundle[] {
  return [own, ...federated]
}

function keyOf({ trustDomain }: Bundle): string {
  return `spiffe://${trustDomain}`
}

function concatenated(bundle: Bundle): Buffer {
  return Buffer.concat(bundle.x509Authorities.map(({ der }) => der))
}
