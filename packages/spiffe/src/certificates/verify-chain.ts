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
  const [leaf, ...others] = chain
  if (leaf === undefined) throw untrusted('there is no certificate')
  if (chain.length > maximumChain) throw untrusted(`the chain has more than ${maximumChain} certificates`)
  if (leaf.isCa) throw untrusted('the first certificate of the chain is that of a CA, which never authenticates')
  const search: Search = {
    others,
    anchors,
    now,
    options,
    signaturesLeft: maximumSignatures,
    comparisonsLeft: maximumComparisons,
    obstacle: undefined,
  }
  const own = flawOf(leaf, search)
  if (own !== undefined) throw own
  const path = pathToAnchor([leaf], search)
  if (path === undefined) throw search.obstacle ?? untrusted('no trusted CA has signed the certificate')
  return path
}

interface Search {
  readonly others: readonly Certificate[]
  readonly anchors: readonly Certificate[]
  readonly now: number
  readonly options: ChainOptions
  signaturesLeft: number
  comparisonsLeft: number
  /** Why a path that would else have led to an anchor does not. */
  obstacle: SpiffeError | undefined
}

/** `path` with what leads from its last certificate to an anchor, or undefined where nothing does. */
function pathToAnchor(path: readonly Certificate[], search: Search): readonly Certificate[] | undefined {
  const last = path.at(-1)!
  const anchor = search.anchors.find((one) => mayIssue(one, last, path, search))
  if (anchor !== undefined) return [...path, anchor]
  for (const other of search.others) {
    if (path.some(({ der }) => der.equals(other.der)) || !mayIssue(other, last, path, search)) continue
    const found = pathToAnchor([...path, other], search)
    if (found !== undefined) return found
  }
  return undefined
}

/** Whether `issuer` has signed `certificate` and was allowed to, for all that is on the path below it. */
function mayIssue(
  issuer: Certificate,
  certificate: Certificate,
  path: readonly Certificate[],
  search: Search,
): boolean {
  if (!issuer.subjectDer.equals(certificate.issuerDer)) return false
  const { authorityKeyId } = certificate
  if (authorityKeyId !== undefined && issuer.subjectKeyId !== undefined && authorityKeyId !== issuer.subjectKeyId) {
    return false
  }
  if (search.signaturesLeft === 0) return false
  search.signaturesLeft -= 1
  if (!hasSigned(issuer, certificate)) return false
  const flaw = issuerFlaw(issuer, path, search) ?? flawOf(issuer, search)
  search.obstacle ??= flaw
  return flaw === undefined
}

/** Once for two certificates: what one has signed it has signed for ever, all other rules are asked each time. */
function hasSigned(issuer: Certificate, certificate: Certificate): boolean {
  if (knownIssuers.get(certificate)?.has(issuer)) return true
  const { algorithmDer, message, signature } = certificate.signed
  if (!isSignedBy(issuer.publicKey, algorithmDer, message, signature)) return false
  const issuers = knownIssuers.get(certificate) ?? new WeakSet()
  knownIssuers.set(certificate, issuers.add(issuer))
  return true
}

const knownIssuers = new WeakMap<Certificate, WeakSet<Certificate>>()

function issuerFlaw(issuer: Certificate, path: readonly Certificate[], search: Search): SpiffeError | undefined {
  if (!issuer.isCa) return untrusted(`${nameOf(issuer)} has signed it, and is not a CA`)
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

function untrusted(message: string): SpiffeError {
  return new SpiffeError('untrusted_svid', `the certificate is not trusted: ${message}`)
}

function expired(message: string): SpiffeError {
  return new SpiffeError('expired_svid', message)
}
