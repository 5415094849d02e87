import { createPublicKey, type KeyObject } from 'node:crypto'
import { createCaCertificate, newSerialNumber, parseCertificate } from '@countersign/spiffe'
import { generateSigningKey } from '@countersign/tokens'
import type { CertificateAuthorityRow } from '../storage/workload-identity-tables.ts'
import type { AuthorityContext, AuthorityKind } from './authority-context.ts'
import { CaUnavailable } from './ca-unavailable.ts'
import { checkUnderUpstream, readUpstreamCa, type UpstreamCa } from './upstream-ca.ts'

/** Verifiers' clocks may be behind by this. */
const clockLeewaySeconds = 60

/**
 * A new key, and for `x509` its CA certificate: self-signed, or under the upstream CA.
 * @returns a row that lacks nothing but a status
 * @throws CaUnavailable when there is an upstream CA that cannot sign it
 */
export async function makeAuthority(
  kind: AuthorityKind,
  context: AuthorityContext,
): Promise<Omit<CertificateAuthorityRow, 'status'>> {
  const { privateKey, kid } = await generateSigningKey('ES256')
  const made = kind === 'x509' ? makeCertificate(privateKey, context) : keyAlone(kid, context)
  const pkcs8 = privateKey.export({ format: 'der', type: 'pkcs8' })
  return {
    id: made.id,
    trust_domain: context.trustDomain,
    kind,
    certificate: made.certificate,
    chain: JSON.stringify(made.chain),
    roots: JSON.stringify(made.roots),
    public_key: publicKeyOf(privateKey).toString('base64'),
    sealed_private_key: context.masterKey.seal(pkcs8, sealedAs(made.id)),
    created_at: context.now(),
    activation_asked_at: null,
    activated_at: null,
    retired_at: null,
    tainted_at: null,
    revoked_at: null,
    expires_at: made.expiresAt,
  }
}

/** The context under which the private key of an authority is sealed. */
export function sealedAs(id: string): string {
  return `certificate-authority/${id}`
}

interface Made {
  id: string
  certificate: string | null
  chain: readonly string[]
  roots: readonly string[]
  expiresAt: number
}

function keyAlone(kid: string, { now, lifetimeSeconds }: AuthorityContext): Made {
  return { id: kid, certificate: null, chain: [], roots: [], expiresAt: now() + lifetimeSeconds }
}

function makeCertificate(key: KeyObject, context: AuthorityContext): Made {
  const now = context.now()
  const serialNumber = newSerialNumber()
  const upstream = context.upstream && readUpstreamCa(context.upstream, now)
  const expiresAt = Math.min(now + context.lifetimeSeconds, upstream?.expiresAt ?? Number.POSITIVE_INFINITY)
  const der = createCaCertificate({
    key,
    subject: { commonName: nameOf(context.trustDomain, serialNumber), organization: 'Countersign' },
    trustDomain: context.trustDomain,
    serialNumber,
    notBefore: now - clockLeewaySeconds,
    notAfter: expiresAt,
    ...(upstream && { issuer: { key: upstream.key, certificate: upstream.certificate } }),
    // Below it are leaves only.
    pathLength: 0,
  })
  const certificate = parseCertificate(der)
  if (upstream) checkUnderUpstream({ key, certificate }, upstream, { trustDomain: context.trustDomain, now })
  const id = certificate.subjectKeyId
  if (id === undefined) throw new CaUnavailable('the new CA certificate has no subject key identifier')
  const text = der.toString('base64')
  return {
    id,
    certificate: text,
    chain: upstream ? [text, ...base64Of(upstream.chain)] : [],
    roots: upstream ? base64Of(upstream.roots) : [text],
    expiresAt,
  }
}

function base64Of(certificates: UpstreamCa['roots']): string[] {
  return certificates.map(({ der }) => der.toString('base64'))
}

function publicKeyOf(privateKey: KeyObject): Buffer {
  return createPublicKey(privateKey).export({ format: 'der', type: 'spki' })
}

/** Of its own for each CA: some verifiers look for an issuer by its name alone, and would try the wrong one. */
function nameOf(trustDomain: string, serialNumber: Buffer): string {
  return `${trustDomain.slice(0, 40)} CA ${serialNumber.toString('hex').slice(0, 16)}`
}
