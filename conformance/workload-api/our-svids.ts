import { generateKeyPairSync, type KeyObject } from 'node:crypto'
import {
  type Certificate,
  createBundle,
  createCaCertificate,
  createCertificateIssuer,
  formatBundleDocument,
  formatJwtBundle,
  parseCertificate,
  parsePemCertificates,
  signJwtSvid,
  spiffeId,
} from '@countersign/spiffe'
import { createTestAuthority } from '@countersign/spiffe/testing'

/** Longer than it may take to install those who judge. */
const lifetimeSeconds = 3600

export const audience = 'https://orders.example.com'

/** What we made, and whether others are to take it: as the ID in it, or not at all (`refused`). */
export interface OurSvid {
  readonly name: string
  readonly verdict: string
  /** DER in base64, leaf first */
  readonly chain: readonly string[]
  readonly token: string
}

/** SVIDs of three trust domains with their bundles, good and bad ones. */
export function createOurSvids() {
  let hoursAgo = 0
  const ours = createTestAuthority('ours.example', { now: () => Date.now() - hoursAgo * 3_600_000 })
  const federated = createTestAuthority('federated.example')
  const foreign = createTestAuthority('ours.example')
  const deep = createDeepAuthority('deep.example')
  const x509 = (name: string, verdict: string, chain: readonly Certificate[]): OurSvid => ({
    name,
    verdict,
    chain: chain.map(({ der }) => der.toString('base64')),
    token: '',
  })
  const jwt = (name: string, verdict: string, token: string): OurSvid => ({ name, verdict, chain: [], token })

  hoursAgo = 2
  const expired = { x509: ours.x509Svid('/a'), jwt: ours.jwtSvid('/a', [audience], { lifetimeSeconds }) }
  hoursAgo = 0
  const svids = [
    x509('X.509', 'spiffe://ours.example/a', ours.x509Svid('/a').certificates),
    x509(
      'X.509 with DNS names',
      'spiffe://ours.example/b/c',
      ours.x509Svid('/b/c', { dnsNames: ['a.example', 'b.example'] }).certificates,
    ),
    x509('X.509 under an intermediate', 'spiffe://deep.example/a', deep.chain),
    x509('X.509 without the intermediate', 'refused', deep.chain.slice(0, 1)),
    x509('X.509 of a federated trust domain', 'spiffe://federated.example/a', federated.x509Svid('/a').certificates),
    x509('X.509 of an authority of the same name', 'refused', foreign.x509Svid('/a').certificates),
    x509('X.509 expired', 'refused', expired.x509.certificates),
    x509(
      'a certificate without an ID',
      'refused',
      parsePemCertificates(ours.certificate({ dnsNames: ['a.example'] }).certificatePem),
    ),
    jwt('JWT', 'spiffe://ours.example/a', ours.jwtSvid('/a', [audience], { lifetimeSeconds })),
    jwt(
      'JWT with a jti for several audiences',
      'spiffe://ours.example/a',
      ours.jwtSvid('/a', ['x', audience], { jti: 'j', lifetimeSeconds }),
    ),
    jwt('JWT RS256', 'spiffe://deep.example/a', deep.token),
    jwt(
      'JWT of a federated trust domain',
      'spiffe://federated.example/a',
      federated.jwtSvid('/a', [audience], { lifetimeSeconds }),
    ),
    jwt('JWT for another audience', 'refused', ours.jwtSvid('/a', ['x'], { lifetimeSeconds })),
    jwt('JWT of an authority of the same name', 'refused', foreign.jwtSvid('/a', [audience], { lifetimeSeconds })),
    jwt('JWT expired', 'refused', expired.jwt),
    jwt('JWT of one trust domain under a key of another', 'refused', deep.tokenFor('ours.example')),
  ]
  // What was issued before a rotation counts as long as the bundle holds its authority.
  ours.rotate()
  const bundles = [ours.bundle, federated.bundle, deep.bundle]
  return {
    svids,
    bundleDocuments: Object.fromEntries(bundles.map((bundle) => [bundle.trustDomain, formatBundleDocument(bundle)])),
    jwtBundles: Object.fromEntries(bundles.map((bundle) => [bundle.trustDomain, formatJwtBundle(bundle)])),
  }
}

/** A trust domain with an intermediate CA below its root and an RSA key for its JWT-SVIDs. */
function createDeepAuthority(trustDomain: string) {
  const now = Math.floor(Date.now() / 1000)
  const times = { notBefore: now - 60, notAfter: now + 3600 }
  const newKey = () => generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const newCa = (commonName: string, serial: number, issuer?: { key: KeyObject; certificate: Certificate }) => {
    const { privateKey: key } = newKey()
    const own = { key, trustDomain, subject: { commonName }, serialNumber: Buffer.from([serial]), ...times }
    return { key, certificate: parseCertificate(createCaCertificate({ ...own, ...(issuer && { issuer }) })) }
  }
  const root = newCa('root', 1)
  const intermediate = newCa('intermediate', 2, root)
  const leaf = createCertificateIssuer({ ...intermediate, chain: [intermediate.certificate] }).issue({
    publicKeyDer: newKey().publicKey.export({ format: 'der', type: 'spki' }),
    serialNumber: Buffer.from([3]),
    uris: [`spiffe://${trustDomain}/a`],
    ...times,
  })
  const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 })
  const tokenFor = (domain: string) =>
    signJwtSvid({
      id: spiffeId(domain, '/a'),
      audience: [audience],
      issuedAt: now,
      expiresAt: now + 3600,
      key: rsa.privateKey,
      kid: 'rsa',
    })
  return {
    bundle: createBundle({
      trustDomain,
      x509Authorities: [root.certificate],
      jwtAuthorities: [{ keyId: 'rsa', publicKey: rsa.publicKey }],
    }),
    chain: [parseCertificate(leaf), intermediate.certificate],
    token: tokenFor(trustDomain),
    tokenFor,
  }
}
