import 'reflect-metadata'
import { createPrivateKey, createPublicKey, generateKeyPairSync, type KeyObject, X509Certificate } from 'node:crypto'
import * as peculiar from '@peculiar/x509'
import { describe, expect, it } from 'vitest'
import { codeOf, messageOf } from '../refusal.fixture.ts'
import { createCaCertificate } from './ca-certificate.ts'
import { type Certificate, parseCertificate } from './certificate.ts'
import { createCertificateIssuer, type LeafTemplate } from './certificate-issuer.ts'
import { parseCertificateRequest } from './certificate-request.ts'
import { extensionIds } from './extensions.ts'
import { forge, forgeCa, newKey, now } from './forged.fixture.ts'
import { openssl } from './openssl.fixture.ts'
import { parsePemCertificates, toPem } from './pem.ts'
import { verifyCertificateChain } from './verify-chain.ts'

const serialNumber = Buffer.from('0f00000000000000000000000000000001', 'hex')
const caKey = newKey()
const caOptions = {
  key: caKey,
  subject: { commonName: 'Countersign CA', organization: 'example.org' },
  trustDomain: 'example.org',
  serialNumber,
  notBefore: now - 1000,
  notAfter: now + 1000,
}
const ca = parseCertificate(createCaCertificate(caOptions))
const issuer = createCertificateIssuer({ key: caKey, certificate: ca })
const leafKey = newKey()
const template: LeafTemplate = {
  publicKeyDer: spki(leafKey),
  serialNumber,
  notBefore: now - 10,
  notAfter: now + 60,
  uris: ['spiffe://example.org/orders'],
}
const issue = (changes: Partial<LeafTemplate> = {}) => parseCertificate(issuer.issue({ ...template, ...changes }))

describe('createCaCertificate', () => {
  it('makes a root that may sign certificates and nothing else, with the ID of the trust domain', () => {
    expect(ca).toMatchObject({
      subject: 'CN=Countersign CA,O=example.org',
      serialNumber: '0f00000000000000000000000000000001',
      isCa: true,
      keyUsage: new Set(['keyCertSign', 'crlSign']),
      extendedKeyUsage: undefined,
      uris: ['spiffe://example.org'],
      notBefore: now - 1000,
      notAfter: now + 1000,
    })
    expect(ca.subjectKeyId).toBe(ca.authorityKeyId)
    expect(ca.criticalExtensions).toEqual(new Set([extensionIds.basicConstraints, extensionIds.keyUsage]))
    expect(new X509Certificate(ca.der).verify(createPublicKey(caKey))).toBe(true)
  })

  it('makes an intermediate, for which the public key is enough', () => {
    const key = newKey()
    const options = { ...caOptions, key: createPublicKey(key), issuer: { key: caKey, certificate: ca }, pathLength: 0 }
    const certificate = parseCertificate(createCaCertificate(options))
    expect(certificate).toMatchObject({ isCa: true, pathLength: 0, authorityKeyId: ca.subjectKeyId })
    const below = createCertificateIssuer({ key, certificate, chain: [certificate] })
    const leaf = parseCertificate(below.issue(template))
    expect(codeOf(() => verifyCertificateChain([leaf, ...below.chain], [ca], now))).toBe('accepted')
  })

  it('signs under the roots of others, whatever kind of key they have', () => {
    for (const options of [
      '-newkey rsa:2048',
      '-newkey ec -pkeyopt ec_paramgen_curve:P-384',
      '-newkey ec -pkeyopt ec_paramgen_curve:P-521',
      '-newkey ed25519',
    ]) {
      const shell = openssl()
      const extensions = '-addext keyUsage=critical,keyCertSign,cRLSign'
      shell.run(`req -x509 -nodes -keyout k -out c -days 9 -subj /CN=Corporate ${extensions} ${options}`)
      const [root] = parsePemCertificates(shell.read('c').toString()) as [Certificate]
      const seconds = Math.floor(Date.now() / 1000)
      const times = { notBefore: seconds - 10, notAfter: seconds + 1000 }
      const rootKey = createPrivateKey(shell.read('k').toString())
      const der = createCaCertificate({ ...caOptions, ...times, issuer: { key: rootKey, certificate: root } })
      const certificate = parseCertificate(der)
      const leaf = createCertificateIssuer({ key: caKey, certificate, chain: [certificate] }).issue({
        ...template,
        ...times,
      })
      expect(codeOf(() => verifyCertificateChain([parseCertificate(leaf), certificate], [root], seconds))).toBe(
        'accepted',
      )
      shell.write('intermediate', toPem(der))
      shell.write('leaf', toPem(leaf))
      expect(shell.run('verify -x509_strict -CAfile c -untrusted intermediate leaf')).toBe('leaf: OK\n')
    }
  })

  it.each([
    ['an empty subject', { subject: {} }],
    ['a public key without an issuer', { key: createPublicKey(caKey) }],
    ['a longer life than its issuer', { issuer: { key: caKey, certificate: ca }, notAfter: ca.notAfter + 1 }],
    ['a serial number of zero', { serialNumber: Buffer.alloc(8) }],
    ['no serial number', { serialNumber: Buffer.alloc(0) }],
    ['a serial number of 21 bytes', { serialNumber: Buffer.alloc(21, 1) }],
    ['a negative serial number', { serialNumber: Buffer.from([0x80]) }],
    ['half a second', { notAfter: now + 0.5 }],
    ['an end before its start', { notAfter: now - 1001 }],
    ['no time', { notAfter: Number.NaN }],
    ['an end after the year 9999', { notAfter: 253_402_300_800 }],
  ])('refuses %s', (_what, changes) => {
    expect(codeOf(() => createCaCertificate({ ...caOptions, ...changes }))).toBe('invalid_configuration')
  })

  it('refuses what is no trust domain', () => {
    expect(codeOf(() => createCaCertificate({ ...caOptions, trustDomain: 'example.org/a' }))).toBe('invalid_spiffe_id')
  })
})

describe('a leaf', () => {
  it('is what the X509-SVID standard asks for', () => {
    expect(issue()).toMatchObject({
      subject: '',
      uris: ['spiffe://example.org/orders'],
      isCa: false,
      keyUsage: new Set(['digitalSignature']),
      extendedKeyUsage: new Set(['server', 'client']),
      authorityKeyId: ca.subjectKeyId,
      notBefore: now - 10,
      notAfter: now + 60,
    })
    // Without a subject the names are critical (RFC 5280 section 4.1.2.6), with one they are not.
    expect(issue().criticalExtensions.has(extensionIds.subjectAlternativeName)).toBe(true)
    const withSubject = issue({ subject: { commonName: 'orders' } })
    expect(withSubject.criticalExtensions.has(extensionIds.subjectAlternativeName)).toBe(false)
  })

  it('carries all kinds of names, and one purpose where that is asked for', () => {
    const changes = {
      uris: [],
      dnsNames: ['a.example.org', '*.a.example.org'],
      ipAddresses: ['10.0.0.1', '::1', '2001:db8::a'],
      subject: { commonName: 'a.example.org', organization: 'Example', country: 'US' },
      extendedKeyUsage: ['server' as const],
    }
    expect(issue(changes)).toMatchObject({
      uris: [],
      dnsNames: ['a.example.org', '*.a.example.org'],
      ipAddresses: ['10.0.0.1', '::1', '2001:db8::a'],
      subject: 'CN=a.example.org,O=Example,C=US',
      extendedKeyUsage: new Set(['server']),
    })
    const node = new X509Certificate(issuer.issue({ ...template, ...changes }))
    expect(node.subjectAltName).toMatch(/^DNS:a.example.org, DNS:\*.a.example.org, IP Address:10.0.0.1, IP Address:/)
    expect(node.checkIP('2001:db8::a')).toBe('2001:db8::a')
  })

  it('holds a serial number that begins with zeros, as others read it', () => {
    const leaf = issue({ serialNumber: Buffer.from('0000ff', 'hex') })
    expect(leaf.serialNumber).toBe('ff')
    expect(new X509Certificate(leaf.der).serialNumber).toBe('FF')
  })

  it('verifies by node, OpenSSL in its strict mode, and @peculiar/x509', async () => {
    const leaf = issue({ dnsNames: ['orders.example.org'] })
    expect(new X509Certificate(leaf.der).checkIssued(new X509Certificate(ca.der))).toBe(true)
    const shell = openssl()
    shell.write('ca', toPem(ca.der))
    shell.write('leaf', toPem(leaf.der))
    expect(shell.run(`verify -x509_strict -attime ${now} -CAfile ca leaf`)).toBe('leaf: OK\n')
    const theirs = new peculiar.X509Certificate(leaf.der)
    expect(await theirs.verify({ publicKey: new peculiar.X509Certificate(ca.der), date: new Date(now * 1000) })).toBe(
      true,
    )
    const names = theirs.getExtension(peculiar.SubjectAlternativeNameExtension)!.names.toJSON()
    expect(names).toEqual([
      { type: 'url', value: 'spiffe://example.org/orders' },
      { type: 'dns', value: 'orders.example.org' },
    ])
  })

  it('for an RSA key verifies as well', () => {
    const { publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
    const leaf = issue({ publicKeyDer: publicKey.export({ format: 'der', type: 'spki' }) })
    expect(leaf.publicKey.equals(publicKey)).toBe(true)
    expect(codeOf(() => verifyCertificateChain([leaf], [ca], now))).toBe('accepted')
  })

  it.each<[string, Partial<LeafTemplate>]>([
    ['a longer life than its CA', { notAfter: ca.notAfter + 1 }],
    ['a URI that is no SPIFFE ID', { uris: ['https://example.org'] }],
    ['an ID that others may read as two', { uris: ['spiffe://example.org/a, URI:spiffe://example.org/b'] }],
    ['an ID with a NUL', { uris: ['spiffe://example.org/a\0'] }],
    ['an ID in capitals', { uris: ['spiffe://EXAMPLE.org/a'] }],
    ['a host name with a line break', { dnsNames: ['a.example.org\n'] }],
    ['a host name that is too long', { dnsNames: [`${'a.'.repeat(130)}org`] }],
    ['an address with a zone', { ipAddresses: ['fe80::1%eth0'] }],
    ['an address that is none', { ipAddresses: ['010.0.0.1'] }],
    ['a serial number of zero', { serialNumber: Buffer.from([0]) }],
  ])('is not issued with %s', (_what, changes) => {
    expect(['invalid_configuration', 'invalid_spiffe_id']).toContain(codeOf(() => issue(changes)))
  })
})

describe('@peculiar/x509', () => {
  const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' }
  const names = [
    { type: 'url', value: 'spiffe://example.org/orders' },
    { type: 'dns', value: 'orders.example.org' },
    { type: 'ip', value: '2001:db8::1' },
    { type: 'email', value: 'orders@example.org' },
  ] as const

  it('makes certificates that are read as it meant them', async () => {
    const keys = await crypto.subtle.generateKey(algorithm, true, ['sign', 'verify'])
    const theirs = await peculiar.X509CertificateGenerator.createSelfSigned({
      serialNumber: '00a1b2',
      name: 'CN=Müller \\+ Söhne, O=Example',
      notBefore: new Date(now * 1000),
      notAfter: new Date((now + 1e9) * 1000),
      signingAlgorithm: algorithm,
      keys,
      extensions: [
        new peculiar.BasicConstraintsExtension(true, 2, true),
        new peculiar.KeyUsagesExtension(peculiar.KeyUsageFlags.keyCertSign | peculiar.KeyUsageFlags.decipherOnly, true),
        new peculiar.ExtendedKeyUsageExtension([peculiar.ExtendedKeyUsage.clientAuth, '1.2.3.4']),
        new peculiar.SubjectAlternativeNameExtension([...names]),
        await peculiar.SubjectKeyIdentifierExtension.create(keys.publicKey),
      ],
    })
    expect(parseCertificate(new Uint8Array(theirs.rawData))).toMatchObject({
      serialNumber: 'a1b2',
      subject: 'O=Example,CN=Müller \\+ Söhne',
      notBefore: now,
      notAfter: now + 1e9,
      isCa: true,
      pathLength: 2,
      keyUsage: new Set(['keyCertSign', 'decipherOnly']),
      extendedKeyUsage: new Set(['client', '1.2.3.4']),
      uris: ['spiffe://example.org/orders'],
      dnsNames: ['orders.example.org'],
      ipAddresses: ['2001:db8::1'],
      emails: ['orders@example.org'],
      subjectKeyId: theirs.getExtension(peculiar.SubjectKeyIdentifierExtension)!.keyId,
    })
  })

  it('makes requests that are accepted', async () => {
    const keys = await crypto.subtle.generateKey(algorithm, true, ['sign', 'verify'])
    const theirs = await peculiar.Pkcs10CertificateRequestGenerator.create({
      name: 'CN=orders',
      keys,
      signingAlgorithm: algorithm,
      extensions: [new peculiar.SubjectAlternativeNameExtension([...names])],
      attributes: [new peculiar.ChallengePasswordAttribute('secret')],
    })
    expect(parseCertificateRequest(new Uint8Array(theirs.rawData))).toMatchObject({
      subject: 'CN=orders',
      uris: ['spiffe://example.org/orders'],
      dnsNames: ['orders.example.org'],
      ipAddresses: ['2001:db8::1'],
    })
  })
})

describe('createCertificateIssuer', () => {
  it.each([
    ['the key of another', newKey(), ca],
    ['a public key', createPublicKey(caKey), ca],
    ['a leaf in place of a CA', leafKey, issue()],
  ])('refuses %s', (_what, key, certificate) => {
    expect(codeOf(() => createCertificateIssuer({ key, certificate }))).toBe('invalid_configuration')
  })

  it('refuses a CA that may not sign certificates', () => {
    const { certificate, key } = forgeCa('CA')
    const mute = { ...certificate, keyUsage: new Set(['crlSign' as const]) }
    expect(messageOf(() => createCertificateIssuer({ key, certificate: mute }))).toMatch('may not sign others')
  })

  it('refuses to sign with a kind of key that certificates are not signed with here', () => {
    const { privateKey } = generateKeyPairSync('x25519')
    expect(codeOf(() => createCaCertificate({ ...caOptions, key: privateKey }))).toBe('invalid_configuration')
    expect(forge({ name: 'a' }).certificate.subject).toBe('CN=a')
  })
})

function spki(key: KeyObject): Buffer {
  return createPublicKey(key).export({ format: 'der', type: 'spki' })
}
