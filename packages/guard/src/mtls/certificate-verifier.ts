import { parseSpiffeId, verifyCertificateChain, verifyX509Svid } from '@countersign/spiffe'
import { type Caller, deepFreeze } from '../caller.ts'
import { isStillGood, type LatelyVerified } from '../peer-certificate/lately-verified.ts'
import type { PeerCertificate } from '../peer-certificate/peer-certificate.ts'
import { Refused } from '../refusal.ts'
import { certificateRefusal, notAllowed } from './certificate-refusal.ts'
import type { CertificateIdentity, MtlsSettings } from './mtls-options.ts'

/** The caller behind a certificate. Throws Refused. `now` in seconds since the epoch. */
export type VerifyCertificate = (peer: PeerCertificate, now: number) => Caller

interface Verified extends LatelyVerified {
  readonly caller: Caller
}

/**
 * Verifies certificates: a SPIFFE ID by the bundle of its own trust domain, everything else by the CAs. The chain of a connection
 * is verified once a minute, and again where the bundle is another; its validity at every request, so that an identity that has
 * ended ends on open connections too.
 */
export function createCertificateVerifier(settings: MtlsSettings, audience: string): VerifyCertificate {
  const { bundles } = settings
  const known = new WeakMap<PeerCertificate, Verified>()

  return (peer, now) => {
    const remembered = known.get(peer)
    if (remembered !== undefined && isStillGood(remembered, bundles, now)) return remembered.caller
    try {
      const verified = verify(peer, settings, audience, now)
      known.set(peer, verified)
      return verified.caller
    } catch (error) {
      throw error instanceof Refused ? error : new Refused(certificateRefusal(error))
    }
  }
}

function verify(peer: PeerCertificate, settings: MtlsSettings, audience: string, now: number): Verified {
  const { leaf } = peer
  const hasId = leaf.uris.some((uri) => /^spiffe:/i.test(uri))
  const identity = hasId ? identityOfSvid(peer, settings, now) : identityOfName(peer, settings, now)
  const { spiffeId } = identity
  const trustDomain = spiffeId === undefined ? undefined : parseSpiffeId(spiffeId).trustDomain
  const bundle = trustDomain === undefined ? undefined : settings.bundles?.get(trustDomain)
  return { caller: toCaller(identity, trustDomain, settings, audience), trustDomain, bundle, leaf, verifiedAt: now }
}

/** A SPIFFE ID is never taken on the word of the CAs for plain certificates: they may sign any name. */
function identityOfSvid(peer: PeerCertificate, { bundles, allow }: MtlsSettings, now: number): CertificateIdentity {
  const id = verifyX509Svid(peer.chain, bundles ?? new Map(), now, { purpose: 'client' })
  if (!allow.allowsId(id)) throw new Refused(notAllowed)
  return { ...identityOf(peer), spiffeId: id.toString() }
}

function identityOfName(peer: PeerCertificate, { authorities, allow }: MtlsSettings, now: number): CertificateIdentity {
  verifyCertificateChain(peer.chain, authorities, now, { purpose: 'client' })
  const allowedAs = allow.allowedName(peer.leaf)
  if (allowedAs === undefined) throw new Refused(notAllowed)
  return { ...identityOf(peer), allowedAs }
}

function identityOf({ leaf, thumbprint }: PeerCertificate): CertificateIdentity {
  const { subject, dnsNames, ipAddresses, emails, uris, serialNumber, notAfter } = leaf
  return { subject, dnsNames, ipAddresses, emails, uris, serialNumber, thumbprint, expiresAt: notAfter }
}

function toCaller(
  identity: CertificateIdentity,
  trustDomain: string | undefined,
  { clientOf, scopesOf }: MtlsSettings,
  audience: string,
): Caller {
  const clientId = clientOf(identity)
  if (clientId === undefined) throw new Refused(notAllowed)
  const { spiffeId, allowedAs, thumbprint, expiresAt, ...names } = identity
  return deepFreeze({
    method: 'mtls',
    clientId,
    subject: spiffeId ?? allowedAs ?? identity.subject,
    scopes: [...scopesOf(clientId)],
    audience,
    issuer: trustDomain === undefined ? '' : `spiffe://${trustDomain}`,
    credentialId: thumbprint,
    ...(spiffeId === undefined ? {} : { spiffeId }),
    expiresAt,
    confirmation: { 'x5t#S256': thumbprint },
    claims: structuredClone(names),
  } satisfies Caller)
}
