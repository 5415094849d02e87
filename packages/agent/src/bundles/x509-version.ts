import { createHash } from 'node:crypto'
import type { Bundle } from '@countersign/spiffe'

const versions = new WeakMap<Bundle, string>()

/** Equal for bundles of one trust domain with the same X.509 authorities. Made once for all streams that it goes to. */
export function x509Version(bundle: Bundle): string {
  let version = versions.get(bundle)
  if (version === undefined) {
    const hash = createHash('sha256').update(bundle.trustDomain)
    for (const { der } of bundle.x509Authorities) hash.update(der)
    version = hash.digest('base64')
    versions.set(bundle, version)
  }
  return version
}
