import { generateKeyPairSync, type KeyObject, randomBytes } from 'node:crypto'
import { type Bundle, createBundle } from './bundles/bundle.ts'
import { createCaCertificate } from './certificates/ca-certificate.ts'
import { parseCertificate } from './certificates/certificate.ts'
import {
  type CertificateIssuer,
  createCertificateIssuer,
  type LeafTemplate,
} from './certificates/certificate-issuer.ts'
import { toPem } from './certificates/pem.ts'
import { newSerialNumber } from './certificates/serial-number.ts'
import { parseTrustDomain, spiffeId } from './ids/spiffe-id.ts'
import { signJwtSvid } from './svids/sign-jwt-svid.ts'
import { parseX509Svid, type X509Svid } from './svids/x509-svid.ts'

/** A trust domain in memory, for tests: what it issues is real, and nobody should trust it. */
export interface TestAuthority {
  readonly trustDomain: string
  /** As of now; after `rotate` it also holds the new authorities */
  readonly bundle: Bundle
  readonly issuer: CertificateIssuer
  /** `path` begins with `/`. */
  x509Svid(path: string, options?: TestSvidOptions): X509Svid
  jwtSvid(path: string, audience: readonly string[], options?: { lifetimeSeconds?: number; jti?: string }): string
  /** A plain certificate, without a SPIFFE ID unless `uris` names one. */
  certificate(options: TestCertificateOptions): { certificatePem: string; keyPem: string }
  /** Makes a new CA and a new JWT key and signs with them from now on. The old ones stay in the bundle. */
  rotate(): void
}

export interface TestSvidOptions {
  /** Default 3600 */
  readonly lifetimeSeconds?: number
  readonly dnsNames?: readonly string[]
  readonly hint?: string
}

export interface TestCertificateOptions
  extends Pick<LeafTemplate, 'uris' | 'dnsNames' | 'ipAddresses' | 'extendedKeyUsage'> {
  readonly commonName?: string
  readonly organization?: string
  /** Default 3600 */
  readonly lifetimeSeconds?: number
}

/** `now` is in milliseconds since the epoch, as `Date.now` gives it. */
export function createTestAuthority(
  trustDomain: string,
  { now = Date.now }: { now?: () => number } = {},
): TestAuthority {
  const name = parseTrustDomain(trustDomain)
  const nowSeconds = () => Math.floor(now() / 1000)
  const generations: Generation[] = [createGeneration(name, nowSeconds(), 1)]
  const current = () => generations.at(-1)!

  function issue(
    leaf: Omit<LeafTemplate, 'publicKeyDer' | 'serialNumber' | 'notBefore' | 'notAfter'>,
    lifetime = 3600,
  ) {
    const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
    const notBefore = nowSeconds() - 10
    const notAfter = nowSeconds() + lifetime
    const publicKeyDer = publicKey.export({ format: 'der', type: 'spki' })
    const der = current().issuer.issue({
      ...leaf,
      publicKeyDer,
      serialNumber: newSerialNumber(),
      notBefore,
      notAfter,
    })
    return { der, privateKey }
  }

  return {
    trustDomain: name,
    get bundle() {
      return createBundle({
        trustDomain: name,
        x509Authorities: generations.map(({ issuer }) => issuer.certificate),
        jwtAuthorities: generations.map(({ kid, jwtKeys }) => ({ keyId: kid, publicKey: jwtKeys.publicKey })),
        sequenceNumber: generations.length,
        refreshHintSeconds: 300,
      })
    },
    get issuer() {
      return current().issuer
    },
    x509Svid(path, { lifetimeSeconds, dnsNames, hint } = {}) {
      const { der, privateKey } = issue({ uris: [spiffeId(name, path).toString()], dnsNames }, lifetimeSeconds)
      return parseX509Svid(der, privateKey.export({ format: 'der', type: 'pkcs8' }), hint)
    },
    jwtSvid(path, audience, { lifetimeSeconds = 300, jti } = {}) {
      const { kid, jwtKeys } = current()
      const issuedAt = nowSeconds()
      const times = { issuedAt, expiresAt: issuedAt + lifetimeSeconds }
      return signJwtSvid({ id: spiffeId(name, path), audience, ...times, key: jwtKeys.privateKey, kid, jti })
    },
    certificate({ commonName, organization, lifetimeSeconds, ...names }) {
      const { der, privateKey } = issue({ ...names, subject: { commonName, organization } }, lifetimeSeconds)
      return { certificatePem: toPem(der), keyPem: privateKey.export({ format: 'pem', type: 'pkcs8' }) as string }
    },
    rotate() {
      generations.push(createGeneration(name, nowSeconds(), generations.length + 1))
    },
  }
}

interface Generation {
  readonly issuer: CertificateIssuer
  readonly kid: string
  readonly jwtKeys: { readonly publicKey: KeyObject; readonly privateKey: KeyObject }
}

function createGeneration(trustDomain: string, now: number, number: number): Generation {
  const { privateKey: key } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const subject = { commonName: `Test CA ${number}`, organization: trustDomain.slice(0, 64) }
  const times = { notBefore: now - 3600, notAfter: now + 10 * 365 * 86_400 }
  const der = createCaCertificate({ key, subject, trustDomain, serialNumber: newSerialNumber(), ...times })
  return {
    issuer: createCertificateIssuer({ key, certificate: parseCertificate(der) }),
    kid: `test-${number}-${randomBytes(4).toString('hex')}`,
    jwtKeys: generateKeyPairSync('ec', { namedCurve: 'P-256' }),
  }
}
