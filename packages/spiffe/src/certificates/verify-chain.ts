import { quoted, SpiffeError } from '../spiffe-error.ts'
import type { Certificate } from './certificate.ts'
import { comparisons, constraintBroken } from './name-constraints.ts'
import { isSignedBy } from './signature-algorithm.ts'

export interface ChainOptions {
  /** What the leaf is used for: where certificates of the chain limit their purposes, this must be among them. */
  readonly purpose?: 'server' | 'client'
}

/** More certificates are not looked at; honest chains have two or three. */
const maximumChain = 10
/** Signatures checked for one chain, so that no set of look-alike CAs makes it expensive. */
const maximumSignatures = 50
/** The same for names that are compared with constraints: a chain of 80 KB could have millions of pairs. */
const maximumComparisons = 10_000

/**
 * Checks that a chain, leaf first, leads to one of the anchors (RFC 5280 section 6): signatures, validity of each at
 * `now` (seconds since the epoch), CA flags, path lengths, key usages, name constraints, and no critical extension that
 * is not known. Certificates after the leaf may be in any order; anchors are CA certificates and are held to the same
 * rules. Revocation is not looked at. Gives the path from the leaf to its anchor. Throws `expired_svid` where only a
 * validity is at fault, else `untrusted_svid`.
 */
export function verifyCertificateChain(
  chain: readonly Certificate[],
  anchors: readonly Certificate[],
  now: number,
  options: ChainOptions = {},
): readonly Certificate[] {
  const [leaf] = chain
  if (leaf === undefined) throw untrusted('there is no certificate')
  if (chain.length > maximumChain) throw untrusted(`the chain has more than ${maximumChain} certificates`)
  if (leaf.isCa) throw untrusted('the first certificate of the chain is that of a CA, which never authenticates')
  const search: Search = {
    leaf,
    // What is an anchor is where a path begins, whether it was sent along or not.
    candidates: chain.filter((one) => one === leaf || !anchors.some(({ der }) => der.equals(one.der))),
    now,
    options,
    signaturesLeft: maximumSignatures,
    comparisonsLeft: maximumComparisons,
    obstacle: undefined,
  }
  const own = flawOf(leaf, search)
  if (own !== undefined) throw own
  for (const anchor of anchors) {
    const path = pathToLeaf([anchor], search)
    if (path !== undefined) return path
  }
  throw search.obstacle ?? untrusted('no trusted CA has signed the certificate')
}

interface Search {
  readonly leaf: Certificate
  readonly candidates: readonly Certificate[]
  readonly now: number
  readonly options: ChainOptions
  signaturesLeft: number
  comparisonsLeft: number
  /** Why a path that would else have led to an anchor does not. */
  obstacle: SpiffeError | undefined
}

/**
 * The path from the leaf to the anchor that `above` begins with, or undefined where there is none. It is searched for from
 * the anchor downwards, so that no signature is checked with a key that nobody trusts: whoever sends a chain could choose
 * slow ones, and many.
 */
function pathToLeaf(above: readonly Certificate[], search: Search): readonly Certificate[] | undefined {
  const issuer = above.at(-1)!
  for (const candidate of search.candidates) {
    if (above.some(({ der }) => der.equals(candidate.der)) || !hasSigned(issuer, candidate, search)) continue
    if (candidate !== search.leaf) {
      const found = candidate.isCa ? pathToLeaf([...above, candidate], search) : noteIfIssuer(candidate, search)
      if (found !== undefined) return found
      continue
    }
    const path = [...above, candidate].toReversed()
    const flaw = flawOfPath(path, search)
    if (flaw === undefined) return path
    search.obstacle ??= flaw
  }
  return undefined
}

function hasSigned(issuer: Certificate, certificate: Certificate, search: Search): boolean {
  if (!issuer.subjectDer.equals(certificate.issuerDer)) return false
  const { authorityKeyId } = certificate
  if (authorityKeyId !== undefined && issuer.subjectKeyId !== undefined && authorityKeyId !== issuer.subjectKeyId) {
    return false
  }
  if (search.signaturesLeft === 0) return false
  search.signaturesLeft -= 1
  if (knownIssuers.get(certificate)?.has(issuer)) return true
  const { algorithmDer, message, signature } = certificate.signed
  if (!isSignedBy(issuer.publicKey, algorithmDer, message, signature)) return false
  const issuers = knownIssuers.get(certificate) ?? new WeakSet()
  knownIssuers.set(certificate, issuers.add(issuer))
  return true
}

/** What one certificate's key has signed it has signed for ever: computed once, while all other rules are asked each time. */
const knownIssuers = new WeakMap<Certificate, WeakSet<Certificate>>()

/** What no CA has signed others with is no way to the leaf; it is worth a word where somebody thought that it was. */
function noteIfIssuer(certificate: Certificate, search: Search): undefined {
  if (search.candidates.some(({ issuerDer }) => issuerDer.equals(certificate.subjectDer))) {
    search.obstacle ??= noCa(certificate)
  }
}

/** Why one of a path's issuers was not allowed to sign what is below it. */
function flawOfPath(path: readonly Certificate[], search: Search): SpiffeError | undefined {
  for (const [index, issuer] of path.entries()) {
    const flaw = index === 0 ? undefined : (issuerFlaw(issuer, path.slice(0, index), search) ?? flawOf(issuer, search))
    if (flaw !== undefined) return flaw
  }
  return undefined
}

function issuerFlaw(issuer: Certificate, path: readonly Certificate[], search: Search): SpiffeError | undefined {
  if (!issuer.isCa) return noCa(issuer)
  if (issuer.keyUsage?.has('keyCertSign') === false) {
    return untrusted(`the CA ${nameOf(issuer)} may not sign certificates: its key usage has no keyCertSign`)
  }
  // Section 6.1.4 (l): self-issued certificates do not count; the leaf is no intermediate.
  const intermediates = path.slice(1).filter(({ subjectDer, issuerDer }) => !subjectDer.equals(issuerDer)).length
  if (issuer.pathLength !== undefined && intermediates > issuer.pathLength) {
    return untrusted(
      `the CA ${nameOf(issuer)} allows ${issuer.pathLength} CAs below it, and there are ${intermediates}`,
    )
  }
  if (issuer.nameConstraints === undefined) return undefined
  for (const [index, certificate] of path.entries()) {
    // Section 6.1.3 (b): a self-issued CA is exempt, the leaf never.
    if (index > 0 && certificate.subjectDer.equals(certificate.issuerDer)) continue
    search.comparisonsLeft -= comparisons(issuer.nameConstraints, certificate)
    if (search.comparisonsLeft < 0) return untrusted('it has too many names for the constraints of the CAs above it')
    const broken = constraintBroken(issuer.nameConstraints, certificate)
    if (broken !== undefined) return untrusted(broken)
  }
  return undefined
}

/** What is wrong with a certificate by itself. */
function flawOf(certificate: Certificate, { now, options: { purpose } }: Search): SpiffeError | undefined {
  const [unknown] = certificate.unknownCritical
  if (unknown !== undefined) {
    return untrusted(`${nameOf(certificate)} has a critical extension ${unknown}, which is not known here`)
  }
  const purposes = certificate.extendedKeyUsage
  if (purpose !== undefined && purposes !== undefined && !purposes.has(purpose) && !purposes.has('any')) {
    return untrusted(`${nameOf(certificate)} is not for the use as a TLS ${purpose}`)
  }
  if (now < certificate.notBefore) {
    const seconds = Math.ceil(certificate.notBefore - now)
    return expired(`${nameOf(certificate)} is valid only in ${seconds} seconds; compare the clocks`)
  }
  if (now >= certificate.notAfter + 1) {
    return expired(`${nameOf(certificate)} expired ${Math.floor(now - certificate.notAfter)} seconds ago`)
  }
  return undefined
}

function nameOf({ uris, subject, serialNumber }: Certificate): string {
  return quoted(uris[0] ?? (subject === '' ? `serial number ${serialNumber}` : subject))
}

function noCa(certificate: Certificate): SpiffeError {
  return untrusted(`${nameOf(certificate)} has signed it, and is not a CA`)
}

function untrusted(message: string): SpiffeError {
  return new SpiffeError('untrusted_svid', `the certificate is not trusted: ${message}`)
}

function expired(message: string): SpiffeError {
  return new SpiffeError('expired_svid', message)
}
