import { readFileSync } from 'node:fs'

/** What vectors/README.md describes: the same credentials for every implementation. */
export interface SpiffeVectors {
  description: string
  /** Seconds since the epoch. All times that decide are decades away */
  now: number
  /** Who judges the JWT-SVIDs */
  audience: string
  /** PKCS#8 of all leaves, base64 */
  leafPrivateKey: string
  /** Bundle documents by trust domain */
  bundles: { [trustDomain: string]: object }
  ids: (Verdict & { id: string; trustDomain?: string; path?: string })[]
  x509Svids: (Verdict & { name: string; chain: string[]; spiffeId?: string })[]
  jwtSvids: (Verdict & { name: string; token: string; spiffeId?: string })[]
  bundleDocuments: (Verdict & BundleContent & { name: string; document: string })[]
}

interface Verdict {
  accept: boolean
  reason?: string
  /** Only verifiers that know this rule come to the verdict */
  appliesTo?: readonly string[]
}

interface BundleContent {
  x509Authorities?: number
  jwtAuthorities?: string[]
  sequenceNumber?: number
  refreshHintSeconds?: number
}

export function readSpiffeVectors(): SpiffeVectors {
  return JSON.parse(readFileSync(new URL('spiffe.json', import.meta.url), 'utf8'))
}
