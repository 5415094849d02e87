import { createPrivateKey, createPublicKey, type KeyObject } from 'node:crypto'
import type { BundleSet } from '../bundles/bundle.ts'
import { type Certificate, parseCertificates } from '../certificates/certificate.ts'
import { extensionIds } from '../certificates/extensions.ts'
import { type ChainOptions, verifyCertificateChain } from '../certificates/verify-chain.ts'
import { parseSpiffeId, type SpiffeId } from '../ids/spiffe-id.ts'
import { quoted, SpiffeError } from '../spiffe-error.ts'

/** A workload's own X.509 identity, with its private key. */
export interface X509Svid {
  readonly id: SpiffeId
  /** Leaf first, then its intermediates; the root is left out */
  readonly certificates: readonly Certificate[]
  readonly privateKey: KeyObject
  /** Tells several SVIDs of one workload apart; `''` for none */
  readonly hint: string
  /** Seconds since the epoch: the leaf's end */
  readonly expiresAt: number
}

/**
 * An SVID as the Workload API gives it: DER certificates one after the other, leaf first, and a PKCS#8 DER private key.
 * Throws `invalid_certificate` and `invalid_svid`, also where the key is another's. Whether the chain is trusted is for
 * others to judge.
 */
export function parseX509Svid(certificates: Uint8Array, privateKeyPkcs8: Uint8Array, hint = ''): X509Svid {
  const chain = parseCertificates(certificates, maximumChain)
  const [leaf] = chain
  if (leaf === undefined) throw invalid('it has no certificate')
  const id = checkX509SvidLeaf(leaf)
  for (const { isCa, keyUsage } of chain.slice(1)) {
    if (!isCa || !keyUsage?.has('keyCertSign')) throw invalid('a certificate behind the first is not that of a CA')
  }
  const privateKey = readPrivateKey(privateKeyPkcs8)
  if (!createPublicKey(privateKey).equals(leaf.publicKey))
    throw invalid('its private key is that of another certificate')
  return Object.freeze({ id, certificates: Object.freeze(chain), privateKey, hint, expiresAt: leaf.notAfter })
}

const maximumChain = 10

/**
 * The rules for a certificate that authenticates (X509-SVID sections 2 to 5). Throws `invalid_svid`,
 * `invalid_spiffe_id`.
 */
export function checkX509SvidLeaf(leaf: Certificate): SpiffeId {
  const [uri] = leaf.uris
  if (uri === undefined || leaf.uris.length !== 1) {
    throw invalid(`it has ${leaf.uris.length} URIs as alternative names; an SVID has exactly one`)
  }
  const id = parseSpiffeId(uri)
  if (id.path === '') throw invalid(`${quoted(uri)} is the ID of a trust domain, which never authenticates`)
  if (leaf.isCa) throw invalid('it is the certificate of a CA, which never authenticates')
  checkUsages(leaf)
  if (leaf.subject === '' && !leaf.criticalExtensions.has(extensionIds.subjectAlternativeName)) {
    throw invalid('it has no subject, and its alternative names are not marked critical')
  }
  return id
}

/**
 * The ID that a chain (leaf first) proves, at `now` in seconds since the epoch. Only the bundle of the ID's own trust
 * domain counts. That the peer owns the leaf's key is for TLS to show. Throws `invalid_svid`, `untrusted_svid`,
 * `expired_svid`, `invalid_spiffe_id`.
 */
export function verifyX509Svid(
  chain: readonly Certificate[],
  bundles: BundleSet,
  now: number,
  options: ChainOptions = {},
): SpiffeId {
  const [leaf] = chain
  if (leaf === undefined) throw invalid('there is no certificate')
  const id = checkX509SvidLeaf(leaf)
  const bundle = bundles.get(id.trustDomain)
  if (bundle === undefined || bundle.trustDomain !== id.trustDomain) {
    throw new SpiffeError('untrusted_svid', `there is no bundle of the trust domain ${quoted(id.trustDomain)}`)
  }
  const path = verifyCertificateChain(chain, bundle.x509Authorities, now, options)
  for (const intermediate of path.slice(1, -1)) checkSigningId(intermediate)
  return id
}

/** Section 3.2: the ID of a signing certificate, where it has one, has no path. */
function checkSigningId({ uris }: Certificate): void {
  const named = uris.find((uri) => /^spiffe:/i.test(uri) && parseSpiffeId(uri).path !== '')
  if (named !== undefined) throw invalid(`the CA ${quoted(named)} has the ID of a workload`)
}

function checkUsages({ keyUsage, extendedKeyUsage, criticalExtensions }: Certificate): void {
  if (keyUsage === undefined || !criticalExtensions.has(extensionIds.keyUsage)) {
    throw invalid('it has no key usage that is marked critical')
  }
  if (!keyUsage.has('digitalSignature')) throw invalid('its key usage has no digitalSignature')
  if (keyUsage.has('keyCertSign') || keyUsage.has('crlSign')) throw invalid('its key usage is that of a CA')
  if (extendedKeyUsage !== undefined && !(extendedKeyUsage.has('server') && extendedKeyUsage.has('client'))) {
    throw invalid('its extended key usage does not have both server and client authentication')
  }
}

function readPrivateKey(pkcs8: Uint8Array): KeyObject {
  try {
    return createPrivateKey({ key: Buffer.from(pkcs8), format: 'der', type: 'pkcs8' })
  } catch {
    // OpenSSL's messages could one day quote the input.
    throw invalid('its private key is not PKCS#8')
  }
}

function invalid(why: string): SpiffeError {
  return new SpiffeError('invalid_svid', `the X.509-SVID is refused: ${why}`)
}
