import { X509Certificate } from 'node:crypto'
import { rootCertificates } from 'node:tls'
import { describe, expect, it } from 'vitest'
import { contextTag, tags } from '../der/der-reader.ts'
import {
  boolean,
  element,
  integer,
  objectIdentifier,
  octetString,
  printableString,
  sequence,
} from '../der/write-der.ts'
import { codeOf, messageOf } from '../refusal.fixture.ts'
import { SpiffeError } from '../spiffe-error.ts'
import { type Certificate, certificateThumbprint, parseCertificate, parseCertificates } from './certificate.ts'
import { extensionIds } from './extensions.ts'
import { extension, forge, forgeCa, forgeDer, forgeLeaf, leafExtensions } from './forged.fixture.ts'
import { nameTags } from './general-names.ts'
import { openssl } from './openssl.fixture.ts'
import { parsePemCertificates, toPem } from './pem.ts'
import { keyUsage } from './write-extensions.ts'

const root = forgeCa('Root')

describe('parseCertificate', () => {
  it('reads what OpenSSL makes', () => {
    const shell = openssl()
    const extensions = [
      'subjectAltName=URI:spiffe://example.org/a,DNS:a.example.org,IP:10.0.0.1,IP:2001:db8::1',
      'keyUsage=critical,digitalSignature,keyAgreement',
      'extendedKeyUsage=serverAuth,clientAuth,emailProtection',
      'basicConstraints=critical,CA:TRUE,pathlen:3',
    ].map((one) => `-addext ${one}`)
    const options = '-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout key.pem -out certificate.pem -utf8'
    shell.run(`req -x509 ${options} ${extensions.join(' ')} -subj`, '/C=DE/O=Müller, Söhne/OU=a/CN= #x "y" ')
    const pem = shell.read('certificate.pem').toString()
    const [certificate] = parsePemCertificates(pem)
    const node = new X509Certificate(pem)
    expect(certificate).toMatchObject({
      serialNumber: node.serialNumber.toLowerCase(),
      notBefore: Date.parse(node.validFrom) / 1000,
      notAfter: Date.parse(node.validTo) / 1000,
      uris: ['spiffe://example.org/a'],
      dnsNames: ['a.example.org'],
      ipAddresses: ['10.0.0.1', '2001:db8::1'],
      emails: [],
      otherNames: 0,
      keyUsage: new Set(['digitalSignature', 'keyAgreement']),
      extendedKeyUsage: new Set(['server', 'client', '1.3.6.1.5.5.7.3.4']),
      isCa: true,
      pathLength: 3,
      unknownCritical: [],
    })
    expect(certificate!.publicKey.equals(node.publicKey)).toBe(true)
    expect(certificate!.der.equals(node.raw)).toBe(true)
    expect(certificateThumbprint(certificate!.der)).toBe(
      Buffer.from(node.fingerprint256.replaceAll(':', ''), 'hex').toString('base64url'),
    )
    const names = shell.run('x509 -in certificate.pem -noout -subject -nameopt RFC2253,-esc_msb,utf8')
    expect(`subject=${certificate!.subject}\n`).toBe(names)
    expect(certificate!.subject).toContain('O=Müller\\, Söhne')
  })

  it.each([
    ['RSA', '-newkey rsa:2048'],
    ['RSA-PSS signatures', '-newkey rsa:2048 -sigopt rsa_padding_mode:pss -sigopt rsa_pss_saltlen:32'],
    ['P-384', '-newkey ec -pkeyopt ec_paramgen_curve:P-384 -sha384'],
    ['P-521', '-newkey ec -pkeyopt ec_paramgen_curve:P-521 -sha512'],
    ['Ed25519', '-newkey ed25519'],
  ])('reads %s', (_name, options) => {
    const shell = openssl()
    shell.run(`req -x509 -nodes -keyout k -out c -subj /CN=a ${options}`)
    const pem = shell.read('c').toString()
    expect(parsePemCertificates(pem)[0]!.publicKey.equals(new X509Certificate(pem).publicKey)).toBe(true)
  })

  it('reads the roots of the web as node does, but for those with weak keys', () => {
    const refused: string[] = []
    for (const pem of rootCertificates) {
      const node = new X509Certificate(pem)
      try {
        const [certificate] = parsePemCertificates(pem) as [Certificate]
        const { serialNumber, notBefore, notAfter, isCa, publicKey, subjectDer, issuerDer } = certificate
        const times = [node.validFrom, node.validTo].map((time) => Date.parse(time) / 1000)
        expect([serialNumber, notBefore, notAfter, isCa]).toEqual([node.serialNumber.toLowerCase(), ...times, node.ca])
        expect(publicKey.equals(node.publicKey)).toBe(true)
        expect(subjectDer.equals(issuerDer)).toBe(node.subject === node.issuer)
      } catch (error) {
        if (!(error instanceof SpiffeError)) throw error
        refused.push(error.message)
      }
    }
    expect(refused.length).toBeLessThan(rootCertificates.length / 20)
    for (const message of refused) expect(message).toMatch(/RSA (key|exponent)/)
  })

  it('reads a certificate of version 1, which has no extensions', () => {
    const der = forgeDer({ name: 'old' }, (parts) => parts.slice(1))
    expect(parseCertificate(der)).toMatchObject({ subject: 'CN=old', isCa: false, uris: [], keyUsage: undefined })
  })

  it.each([
    ['00', '0'],
    ['7f', '7f'],
    ['00ff', 'ff'],
    ['0080000000000000000000000000000000000001', '80000000000000000000000000000000000001'],
  ])('gives the serial number %s as node does', (content, expected) => {
    const der = forgeDer({ name: 'a' }, (parts) =>
      withPart(parts, 1, element(tags.integer, Buffer.from(content, 'hex'))),
    )
    expect(parseCertificate(der).serialNumber).toBe(expected)
    expect(new X509Certificate(der).serialNumber.toLowerCase()).toBe(expected)
  })

  it('holds on to its own copy of the bytes', () => {
    const bytes = Buffer.from(root.certificate.der)
    const certificate = parseCertificate(bytes)
    bytes.fill(0)
    expect(certificate.der.equals(root.certificate.der)).toBe(true)
  })

  it('names critical extensions that it does not know', () => {
    const extensions = [extension('1.2.3.4', sequence(), true), extension('1.2.3.5', sequence())]
    expect(forge({ name: 'a', extensions }).certificate).toMatchObject({ unknownCritical: ['1.2.3.4'] })
  })

  it('says which alternative names it does not show', () => {
    const directory = element(contextTag(4, 'constructed'), sequence())
    const der = forgeDer({ extensions: [alternative(directory, element(nameTags.uri, Buffer.from('a:b')))] })
    expect(parseCertificate(der)).toMatchObject({ otherNames: 1, uris: ['a:b'] })
  })
})

describe('parseCertificate refuses', () => {
  const good = forgeLeaf(root).certificate.der
  const forgeWith = (...extensions: Buffer[]) => forgeDer({ name: 'a', issuer: root, extensions })

  it.each<[string, Buffer]>([
    ['nothing', Buffer.alloc(0)],
    ['noise', Buffer.from('hello')],
    ['a byte after the end', Buffer.concat([good, Buffer.from([0])])],
    ['PEM in place of DER', Buffer.from(toPem(good))],
    ['more than 64 KiB', forgeWith(extension('1.2.3.4', Buffer.alloc(65_536)))],
    [
      'a version that spells out its default',
      forgeDer({}, (parts) => withPart(parts, 0, explicit(0, integer(Buffer.from([0]))))),
    ],
    ['version 4', forgeDer({}, (parts) => withPart(parts, 0, explicit(0, integer(Buffer.from([3])))))],
    ['extensions in version 1', forgeDer({ extensions: leafExtensions('a:b') }, (parts) => parts.slice(1))],
    [
      'a negative serial number',
      forgeDer({}, (parts) => withPart(parts, 1, element(tags.integer, Buffer.from([0x80])))),
    ],
    ['a serial number of 22 bytes', forgeDer({}, (parts) => withPart(parts, 1, integer(Buffer.alloc(22, 1))))],
    [
      'two signature algorithms',
      forgeDer({}, (parts) => withPart(parts, 2, sequence(objectIdentifier('1.3.101.112')))),
    ],
    [
      'a time that is none',
      forgeDer({}, (parts) => withPart(parts, 4, sequence(printableString('2027'), printableString('2028')))),
    ],
    ['three times', forgeDer({}, (parts) => withPart(parts, 4, sequence(...Array(3).fill(utc('270101000000Z')))))],
    ['a subject that is no list of sets', forgeDer({}, (parts) => withPart(parts, 5, sequence(sequence())))],
    ['a subject with an empty part', forgeDer({}, (parts) => withPart(parts, 5, sequence(element(tags.set))))],
    [
      'text in the subject that is no UTF-8',
      forgeDer({}, (parts) => withPart(parts, 5, commonName(element(tags.utf8String, Buffer.from([0xff]))))),
    ],
    ['an empty list of extensions', forgeDer({}, (parts) => [...parts, explicit(3, sequence())])],
    ['the same extension twice', forgeWith(keyUsage('digitalSignature'), keyUsage('keyCertSign'))],
    [
      'an extension that spells out that it is not critical',
      forgeWith(sequence(objectIdentifier('1.2.3'), boolean(false), octetString(sequence()))),
    ],
    [
      'basic constraints that spell out a default',
      forgeWith(extension(extensionIds.basicConstraints, sequence(boolean(false)))),
    ],
    [
      'a path length of what is no CA',
      forgeWith(extension(extensionIds.basicConstraints, sequence(integer(Buffer.from([0]))))),
    ],
    [
      'a negative path length',
      forgeWith(
        extension(extensionIds.basicConstraints, sequence(boolean(true), element(tags.integer, Buffer.from([0xff])))),
      ),
    ],
    [
      'bytes after basic constraints',
      forgeWith(extension(extensionIds.basicConstraints, Buffer.concat([sequence(), Buffer.from([0])]))),
    ],
    ['an empty key usage', forgeWith(extension(extensionIds.keyUsage, element(tags.bitString, Buffer.from([0]))))],
    ['an empty extended key usage', forgeWith(extension(extensionIds.extendedKeyUsage, sequence()))],
    [
      'no alternative names in the extension for them',
      forgeWith(extension(extensionIds.subjectAlternativeName, sequence())),
    ],
    ['an alternative name of an unknown type', forgeWith(alternative(element(0x89, Buffer.from('a'))))],
    ['an IP address of 5 bytes', forgeWith(alternative(element(nameTags.ipAddress, Buffer.alloc(5))))],
    ['more than 1000 names', forgeWith(alternative(...Array(1001).fill(element(nameTags.uri, Buffer.from('a:b')))))],
    ['empty name constraints', forgeWith(extension(extensionIds.nameConstraints, sequence(), true))],
  ])('%s', (_what, der) => {
    expect(codeOf(() => parseCertificate(der))).toBe('invalid_certificate')
  })

  // Envoy CVE-2025-66220, Node CVE-2021-44532
  it.each([
    ['a NUL', 'spiffe://example.org/orders\0.evil.example'],
    ['a line break', 'spiffe://example.org/orders\n'],
    ['a byte beyond ASCII', 'spiffe://example.org/\xe9'],
  ])('%s in an alternative name', (_what, text) => {
    const content = Buffer.from(text, 'latin1')
    for (const tag of [nameTags.uri, nameTags.dnsName, nameTags.email]) {
      expect(codeOf(() => parseCertificate(forgeWith(alternative(element(tag, content)))))).toBe('invalid_certificate')
    }
  })

  it('text that would be several names where it is printed, as anything but one name', () => {
    const injected = 'a.example.org, URI:spiffe://example.org/admin'
    const der = forgeWith(alternative(element(nameTags.dnsName, Buffer.from(injected))))
    expect(parseCertificate(der)).toMatchObject({ dnsNames: [injected], uris: [] })
  })

  it.each([
    ['RSA under 2048 bits', '-newkey rsa:1024'],
    ['RSA with the exponent 3', '-newkey rsa:2048 -pkeyopt rsa_keygen_pubexp:3'],
    ['a curve that is not known', '-newkey ec -pkeyopt ec_paramgen_curve:secp256k1'],
    [
      'a curve given by its parameters (CVE-2020-0601)',
      '-newkey ec -pkeyopt ec_paramgen_curve:P-256 -pkeyopt ec_param_enc:explicit',
    ],
    ['Ed448', '-newkey ed448'],
  ])('a key that is %s', (_what, options) => {
    const shell = openssl()
    shell.run(`req -x509 -nodes -keyout k -out c -subj /CN=a ${options}`)
    const pem = shell.read('c').toString()
    expect(codeOf(() => parsePemCertificates(pem))).toBe('invalid_certificate')
  })

  it('a compressed point, one off the curve, and one at infinity', () => {
    const spki = Buffer.from(root.certificate.publicKeyDer)
    const point = spki.subarray(-65)
    const replaced = (bytes: Buffer) => {
      const bits = element(tags.bitString, Buffer.from([0]), bytes)
      return forgeDer({ name: 'a' }, (parts) => withPart(parts, 6, sequence(spki.subarray(2, 23), bits)))
    }
    const parse = (bytes: Buffer) => codeOf(() => parseCertificate(replaced(bytes)))
    expect(parse(point)).toBe('accepted')
    expect(parse(Buffer.concat([Buffer.from([2 + (point[64]! & 1)]), point.subarray(1, 33)]))).toBe(
      'invalid_certificate',
    )
    expect(parse(Buffer.concat([point.subarray(0, 64), Buffer.from([point[64]! ^ 1])]))).toBe('invalid_certificate')
    expect(parse(Buffer.from([0]))).toBe('invalid_certificate')
  })

  it('any certificate with one bit flipped, or accepts it without a word about anything else', () => {
    for (const source of [good, root.certificate.der]) {
      for (let bit = 0; bit < source.length * 8; bit += 1) {
        const flipped = Buffer.from(source)
        flipped[bit >> 3]! ^= 0x80 >> (bit & 7)
        expect(['accepted', 'invalid_certificate']).toContain(codeOf(() => parseCertificate(flipped)))
      }
    }
  })

  it('any certificate cut short', () => {
    for (let length = 0; length < good.length; length += 1) {
      expect(codeOf(() => parseCertificate(good.subarray(0, length)))).toBe('invalid_certificate')
    }
  })
})

describe('parseCertificates', () => {
  it('reads certificates that stand one after the other', () => {
    const leaf = forgeLeaf(root).certificate
    const both = parseCertificates(Buffer.concat([leaf.der, root.certificate.der]))
    expect(both.map(({ subject }) => subject)).toEqual(['', 'CN=Root'])
    expect(parseCertificates(Buffer.alloc(0))).toEqual([])
  })

  it('refuses what is between or after them, and too many', () => {
    const { der } = root.certificate
    expect(codeOf(() => parseCertificates(Buffer.concat([der, Buffer.from([5, 0]), der])))).toBe('invalid_certificate')
    expect(codeOf(() => parseCertificates(Buffer.concat([der, der.subarray(0, 9)])))).toBe('invalid_certificate')
    expect(messageOf(() => parseCertificates(Buffer.concat([der, der, der]), 2))).toMatch('more than 2')
  })
})

describe('PEM', () => {
  it('goes there and back, among text and other blocks', () => {
    const leaf = forgeLeaf(root).certificate
    const pem = `subject=none\n${toPem(leaf.der)}\n${toPem(Buffer.from('key'), 'PRIVATE KEY')}${toPem(root.certificate.der).replaceAll('\n', '\r\n')}`
    expect(parsePemCertificates(pem).map(({ der }) => der.toString('hex'))).toEqual([
      leaf.der.toString('hex'),
      root.certificate.der.toString('hex'),
    ])
    expect(toPem(leaf.der)).toBe(new X509Certificate(leaf.der).toString())
  })

  it.each([
    ['', 'nothing'],
    ['-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----', 'an empty block'],
    ['-----BEGIN CERTIFICATE-----\nMIIB', 'a block without an end'],
    ['-----BEGIN CERTIFICATE-----\nM*IB\n-----END CERTIFICATE-----', 'what is not base64'],
  ])('refuses %j: %s', (pem) => {
    expect(codeOf(() => parsePemCertificates(pem))).toBe('invalid_certificate')
  })

  it('refuses a block that is cut off between whole ones', () => {
    const pem = toPem(root.certificate.der)
    expect(codeOf(() => parsePemCertificates(`${pem}${pem.slice(0, 200)}\n${pem}`))).toBe('invalid_certificate')
  })
})

function withPart(parts: Buffer[], index: number, part: Buffer): Buffer[] {
  return parts.with(index, part)
}

function explicit(number: number, content: Buffer): Buffer {
  return element(contextTag(number, 'constructed'), content)
}

function alternative(...names: Buffer[]): Buffer {
  return extension(extensionIds.subjectAlternativeName, sequence(...names), true)
}

function utc(text: string): Buffer {
  return element(tags.utcTime, Buffer.from(text))
}

function commonName(value: Buffer): Buffer {
  return sequence(element(tags.set, sequence(objectIdentifier('2.5.4.3'), value)))
}
