import { createPublicKey, generateKeyPairSync, sign } from 'node:crypto'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { contextTag, tags } from '../der/der-reader.ts'
import { bitString, element, integer, objectIdentifier, sequence, utf8String } from '../der/write-der.ts'
import { codeOf, messageOf } from '../refusal.fixture.ts'
import { parseCertificateRequest } from './certificate-request.ts'
import { createCertificateRequest } from './create-certificate-request.ts'
import { extensionIds } from './extensions.ts'
import { extension, newKey } from './forged.fixture.ts'
import { openssl } from './openssl.fixture.ts'
import { signingWith } from './signature-algorithm.ts'
import { keyUsage } from './write-extensions.ts'

const key = newKey()

describe('createCertificateRequest', () => {
  it('asks for names in a way that OpenSSL and we understand', () => {
    const request = createCertificateRequest({
      key,
      commonName: 'orders',
      organization: 'Müller',
      country: 'DE',
      uris: ['spiffe://example.org/orders'],
      dnsNames: ['orders.example.org', '*.orders.example.org'],
    })
    expect(parseCertificateRequest(request)).toMatchObject({
      subject: 'CN=orders,O=Müller,C=DE',
      uris: ['spiffe://example.org/orders'],
      dnsNames: ['orders.example.org', '*.orders.example.org'],
      ipAddresses: [],
    })
    const shell = openssl()
    shell.write('r', request)
    const text = shell.run('req -inform der -in r -verify -noout -text')
    expect(text).toContain('URI:spiffe://example.org/orders, DNS:orders.example.org')
  })

  it('needs no names at all', () => {
    const request = createCertificateRequest({ key })
    expect(parseCertificateRequest(request)).toMatchObject({ subject: '', uris: [], dnsNames: [] })
    const shell = openssl()
    shell.write('r', request)
    shell.run('req -inform der -in r -verify -noout')
  })

  it.each([
    { uris: ['https://example.org'] },
    { uris: ['SPIFFE://example.org/a'] },
    { dnsNames: ['a b'] },
    { dnsNames: ['a.*.org'] },
    { dnsNames: ['10.0.0.1'] },
    { dnsNames: ['a.example.org, URI:spiffe://example.org/admin'] },
    { dnsNames: [''] },
    { commonName: '' },
    { commonName: 'a\0b' },
    { organization: 'a'.repeat(65) },
    { country: 'Deutschland' },
  ])('refuses %j', (names) => {
    const code = codeOf(() => createCertificateRequest({ key, ...names }))
    expect(['invalid_configuration', 'invalid_spiffe_id']).toContain(code)
  })
})

describe('parseCertificateRequest', () => {
  it.each([
    ['EC P-256', '-newkey ec -pkeyopt ec_paramgen_curve:P-256', 'accepted'],
    ['EC P-384', '-newkey ec -pkeyopt ec_paramgen_curve:P-384', 'accepted'],
    ['RSA 2048', '-newkey rsa:2048', 'accepted'],
    ['RSA 1024', '-newkey rsa:1024', 'invalid_csr'],
    ['EC P-521', '-newkey ec -pkeyopt ec_paramgen_curve:P-521', 'invalid_csr'],
    ['EC secp256k1', '-newkey ec -pkeyopt ec_paramgen_curve:secp256k1', 'invalid_csr'],
    ['Ed25519', '-newkey ed25519', 'invalid_csr'],
  ])('says of a request by OpenSSL with %s: %s', (_name, options, expected) => {
    const shell = openssl()
    shell.run(`req ${options} -nodes -keyout k -out r -outform der -subj /CN=a`)
    expect(codeOf(() => parseCertificateRequest(shell.read('r')))).toBe(expected)
  })

  it('ignores attributes that it has no use for, such as a challenge password', () => {
    const password = sequence(objectIdentifier('1.2.840.113549.1.9.7'), element(tags.set, utf8String('secret')))
    expect(codeOf(() => parseCertificateRequest(forgeRequest([password])))).toBe('accepted')
  })

  it('refuses a request that another key has signed, unless the key was proven otherwise', () => {
    const stolen = forgeRequest([], newKey())
    expect(messageOf(() => parseCertificateRequest(stolen))).toMatch('does not verify with its own key')
    expect(codeOf(() => parseCertificateRequest(stolen, { checkSignature: false }))).toBe('accepted')
  })

  it('refuses a signature by SHA-1, and one under the name of another algorithm', () => {
    const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
    const body = requestBody([], privateKey)
    const sha1 = sequence(objectIdentifier('1.2.840.113549.1.1.5'), element(tags.null))
    const request = sequence(body, sha1, bitString(sign('sha1', body, privateKey)))
    expect(codeOf(() => parseCertificateRequest(request))).toBe('invalid_csr')
    const ecdsa = sequence(objectIdentifier('1.2.840.10045.4.3.2'))
    const swapped = sequence(body, ecdsa, bitString(sign('sha256', body, privateKey)))
    expect(codeOf(() => parseCertificateRequest(swapped))).toBe('invalid_csr')
  })

  it.each([
    ['extensions requested twice', [requested(keyUsage('digitalSignature')), requested(keyUsage('digitalSignature'))]],
    ['two lists of extensions in one attribute', [attribute(sequence(keyUsage('digitalSignature')), sequence())]],
    ['no list of extensions', [attribute()]],
    ['an attribute that is no SEQUENCE', [element(tags.null)]],
    [
      'a name with a NUL',
      [requested(extension(extensionIds.subjectAlternativeName, sequence(element(0x86, Buffer.from('a:\0')))))],
    ],
    ['more than 32 attributes', Array(33).fill(sequence(objectIdentifier('1.2.3'), element(tags.set)))],
  ])('refuses %s', (_what, attributes) => {
    expect(codeOf(() => parseCertificateRequest(forgeRequest(attributes)))).toBe('invalid_csr')
  })

  it('refuses more than 64 KiB, and another version', () => {
    expect(
      codeOf(() => parseCertificateRequest(forgeRequest([requested(extension('1.2.3', Buffer.alloc(65_536)))]))),
    ).toBe('invalid_csr')
    expect(codeOf(() => parseCertificateRequest(forgeRequest([], key, 1)))).toBe('invalid_csr')
  })

  it('refuses a request of which any bit was changed or any byte is missing', () => {
    const request = createCertificateRequest({ key, commonName: 'a', uris: ['spiffe://example.org/a'] })
    for (let at = 0; at < request.length; at += 1) {
      const changed = Buffer.from(request)
      changed[at]! ^= 1 << (at % 8)
      expect(codeOf(() => parseCertificateRequest(changed))).toBe('invalid_csr')
      expect(codeOf(() => parseCertificateRequest(request.subarray(0, at)))).toBe('invalid_csr')
    }
  })

  it('comes to an end on any bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (noise) => {
        expect(codeOf(() => parseCertificateRequest(noise))).toBe('invalid_csr')
        expect(codeOf(() => parseCertificateRequest(sequence(noise)))).toBe('invalid_csr')
      }),
    )
  })
})

function attribute(...values: Buffer[]): Buffer {
  return sequence(objectIdentifier('1.2.840.113549.1.9.14'), element(tags.set, ...values))
}

function requested(...extensions: Buffer[]): Buffer {
  return attribute(sequence(...extensions))
}

function requestBody(attributes: readonly Buffer[], subject = key, version = 0): Buffer {
  return sequence(
    integer(Buffer.from([version])),
    sequence(),
    createPublicKey(subject).export({ format: 'der', type: 'spki' }),
    element(contextTag(0, 'constructed'), ...attributes),
  )
}

function forgeRequest(attributes: readonly Buffer[], signer = key, version = 0): Buffer {
  const body = requestBody(attributes, key, version)
  const signing = signingWith(signer)
  return sequence(body, signing.algorithmDer, bitString(signing.sign(body)))
}
