import { parseSpiffeId, verifyCertificateChain, verifyX509Svid } from '@countersign/spiffe'
import { type Caller, deepFreeze } from '../caller.ts'
import { oncePerConnection } from '../peer-certificate/once-per-connection.ts'
import type { PeerCertificate } from '../peer-certificate/peer-certificate.ts'
import { Refused } from '../refusal.ts'
import { certificateRefusal, notAllowed } from './certificate-refusal.ts'
import type { CertificateIdentity, MtlsSettings } from './mtls-options.ts'

/** The caller behind a certificate. Throws Refused. `now` in seconds since the epoch. */
export type VerifyCertificate = (peer: PeerCertificate, now: number) => Caller

/**
 * Verifies certificates: a SPIFFE ID by the bundle of its own trust domain, everything else by the CAs; see `oncePerConnection` for
 * how often.
 */
export function createCertificateVerifier(settings: MtlsSettings, audience: string): VerifyCertificate {
  const callerOf = oncePerConnection(settings.bundles, (peer, now) =>
    toCaller(identify(peer, settings, now), settings, audience),
  )

  return (peer, now) => {
    try {
      return callerOf(peer, now)
    } catch (error) {
      throw error instanceof Refused ? error : new Refused(certificateRefusal(error))
    }
  }
}

function identify(peer: PeerCertificate, settings: MtlsSettings, now: number): CertificateIdentity {
  const hasId = peer.leaf.uris.some((uri) => /^spiffe:/i.test(uri))
  return hasId ? identityOfSvid(peer, settings, now) : identityOfName(peer, settings, now)
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

function toCaller(identity: CertificateIdentity, { clientOf, scopesOf }: MtlsSettings, audience: string): Caller {
  const clientId = clientOf(identity)
  if (clientId === undefined) throw new Refused(notAllowed)
  const { spiffeId, allowedAs, thumbprint, expiresAt, ...names } = identity
  return deepFreeze({
    method: 'mtls',
    clientId,
    subject: spiffeId ?? allowedAs ?? identity.subject,
    scopes: [...scopesOf(clientId)],
    audience,
    issuer: spiffeId === undefined ? '' : `spiffe://${parseSpiffeId(spiffeId).trustDomain}`,
    credentialId: thumbprint,
    ...(spiffeId === undefined ? {} : { spiffeId }),
    expiresAt,
    confirmation: { 'x5t#S256': thumbprint },
    claims: structuredClone(names),
  } satisfies Caller)
}
