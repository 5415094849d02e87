import { generateKeyPairSync } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { type Bundle, createBundle } from '../bundles/bundle.ts'
import { type Forged, forge, forgeCa, forgeLeaf, leafExtensions, newKey, now } from '../certificates/forged.fixture.ts'
import { alternativeNames, basicConstraints, extendedKeyUsage, keyUsage } from '../certificates/write-extensions.ts'
import { codeOf, messageOf } from '../refusal.fixture.ts'
import { createTestAuthority } from '../test-authority.ts'
import { checkX509SvidLeaf, parseX509Svid, verifyX509Svid } from './x509-svid.ts'

const root = forgeCa('example.org')
const otherRoot = forgeCa('other.org')
const bundles = bundleSet(
  createBundle({ trustDomain: 'example.org', x509Authorities: [root.certificate] }),
  createBundle({ trustDomain: 'other.org', x509Authorities: [otherRoot.certificate] }),
)
const leaf = forgeLeaf(root)
const verify = (...chain: Forged[]) =>
  messageOf(() =>
    verifyX509Svid(
      chain.map(({ certificate }) => certificate),
      bundles,
      now,
    ),
  )

describe('verifyX509Svid', () => {
  it('gives the ID that a chain proves', () => {
    expect(`${verifyX509Svid([leaf.certificate], bundles, now)}`).toBe('spiffe://example.org/orders')
    const intermediate = forgeCa('Intermediate', { issuer: root })
    expect(verify(forgeLeaf(intermediate), intermediate)).toBe('accepted')
  })

  it('refuses an ID that the CA of another trust domain has signed', () => {
    expect(verify(forgeLeaf(otherRoot, 'spiffe://example.org/orders'))).toMatch('no trusted CA has signed')
    expect(verify(forgeLeaf(otherRoot, 'spiffe://other.org/orders'))).toBe('accepted')
  })

  it('refuses an ID of a trust domain whose bundle it does not have', () => {
    expect(verify(forgeLeaf(root, 'spiffe://third.org/orders'))).toMatch('no bundle of the trust domain "third.org"')
  })

  it('refuses a bundle that says it is of another trust domain', () => {
    const mixedUp = { get: () => bundles.get('other.org') }
    const chain = [forgeLeaf(otherRoot, 'spiffe://example.org/orders').certificate]
    expect(codeOf(() => verifyX509Svid(chain, mixedUp, now))).toBe('untrusted_svid')
  })

  it('trusts nothing by an empty bundle', () => {
    const empty = bundleSet(createBundle({ trustDomain: 'example.org' }))
    expect(codeOf(() => verifyX509Svid([leaf.certificate], empty, now))).toBe('untrusted_svid')
  })

  it('refuses what expired, and an empty chain', () => {
    const { certificate } = leaf
    expect(codeOf(() => verifyX509Svid([certificate], bundles, certificate.notAfter + 1))).toBe('expired_svid')
    expect(codeOf(() => verifyX509Svid([], bundles, now))).toBe('invalid_svid')
  })

  it('refuses an intermediate with the ID of a workload', () => {
    const names = alternativeNames({ uris: ['spiffe://example.org/ca'] }, false)
    const named = forgeCa('Intermediate', { issuer: root, extensions: names })
    expect(verify(forgeLeaf(named), named)).toMatch('has the ID of a workload')
    const ofDomain = alternativeNames({ uris: ['spiffe://example.org'] }, false)
    const proper = forgeCa('Intermediate', { issuer: root, extensions: ofDomain })
    expect(verify(forgeLeaf(proper), proper)).toBe('accepted')
  })

  it('goes by what the CA signed, not by what stands in the chain behind it', () => {
    expect(verify(forgeLeaf(otherRoot, 'spiffe://example.org/orders'), leaf, root)).toMatch('no trusted CA')
  })
})

describe('a leaf is refused', () => {
  const constraints = basicConstraints(false)
  const usage = keyUsage('digitalSignature')
  const names = (...uris: string[]) => alternativeNames({ uris }, true)
  const id = 'spiffe://example.org/orders'

  it.each([
    ['without any name', [constraints, usage], 'it has 0 URIs'],
    [
      'with a host name only',
      [constraints, usage, ...alternativeNames({ dnsNames: ['a.org'] }, true)],
      'it has 0 URIs',
    ],
    ['with two IDs', [constraints, usage, ...names(id, 'spiffe://example.org/other')], 'it has 2 URIs'],
    ['with the same ID twice', [constraints, usage, ...names(id, id)], 'it has 2 URIs'],
    ['with an ID and another URI', [constraints, usage, ...names(id, 'https://example.org')], 'it has 2 URIs'],
    ['with a URI that is no SPIFFE ID', [constraints, usage, ...names('https://example.org/a')], 'does not begin with'],
    ['with a path that climbs', [constraints, usage, ...names('spiffe://example.org/a/../b')], '".." as path segment'],
    ['with the ID of the trust domain', [constraints, usage, ...names('spiffe://example.org')], 'ID of a trust domain'],
    ['that is a CA', [basicConstraints(true), usage, ...names(id)], 'that of a CA|certificate of a CA'],
    ['without key usage', [constraints, ...names(id)], 'no key usage that is marked critical'],
    [
      'whose key usage has no digitalSignature',
      [constraints, keyUsage('keyAgreement'), ...names(id)],
      'no digitalSignature',
    ],
    [
      'that may sign certificates',
      [constraints, keyUsage('digitalSignature', 'keyCertSign'), ...names(id)],
      'that of a CA',
    ],
    [
      'that may sign revocation lists',
      [constraints, keyUsage('digitalSignature', 'crlSign'), ...names(id)],
      'that of a CA',
    ],
    ['for servers only', [constraints, usage, extendedKeyUsage(['server']), ...names(id)], 'both server and client'],
    ['for clients only', [constraints, usage, extendedKeyUsage(['client']), ...names(id)], 'both server and client'],
    [
      'without subject and with names that are not critical',
      [constraints, usage, ...alternativeNames({ uris: [id] }, false)],
      'not marked critical',
    ],
  ])('%s', (_what, extensions, message) => {
    const forged = forge({ issuer: root, extensions })
    expect(messageOf(() => checkX509SvidLeaf(forged.certificate))).toMatch(new RegExp(message))
    expect(verify(forged)).toMatch(new RegExp(message))
  })

  it('unless nothing is wrong: host names, a subject, RSA usages and no extended key usage are fine', () => {
    const withNames = [constraints, usage, ...alternativeNames({ uris: [id], dnsNames: ['orders'] }, true)]
    expect(verify(forge({ issuer: root, extensions: withNames }))).toBe('accepted')
    const rsaUsage = keyUsage('digitalSignature', 'keyEncipherment', 'keyAgreement')
    const named = forge({
      name: 'orders',
      issuer: root,
      extensions: [rsaUsage, ...alternativeNames({ uris: [id] }, false)],
    })
    expect(verify(named)).toBe('accepted')
  })
})

describe('parseX509Svid', () => {
  const pkcs8 = (key: typeof leaf.key) => key.export({ format: 'der', type: 'pkcs8' })

  it('reads certificates and key as the Workload API gives them', () => {
    const intermediate = forgeCa('Intermediate', { issuer: root })
    const below = forgeLeaf(intermediate)
    const chain = Buffer.concat([below.certificate.der, intermediate.certificate.der])
    const svid = parseX509Svid(chain, pkcs8(below.key), 'internal')
    expect(svid).toMatchObject({ hint: 'internal', expiresAt: below.certificate.notAfter })
    expect(svid.certificates.map(({ subject }) => subject)).toEqual(['', 'CN=Intermediate'])
    expect([`${svid.id}`, svid.privateKey.equals(below.key)]).toEqual(['spiffe://example.org/orders', true])
  })

  it('refuses the key of another certificate, of another type, or none', () => {
    const der = leaf.certificate.der
    expect(messageOf(() => parseX509Svid(der, pkcs8(newKey())))).toMatch('that of another certificate')
    expect(codeOf(() => parseX509Svid(der, pkcs8(generateKeyPairSync('ed25519').privateKey)))).toBe('invalid_svid')
    expect(codeOf(() => parseX509Svid(der, Buffer.from('no key')))).toBe('invalid_svid')
    expect(codeOf(() => parseX509Svid(der, leaf.key.export({ format: 'der', type: 'sec1' })))).toBe('invalid_svid')
  })

  it('never shows a private key in a message', () => {
    const key = pkcs8(newKey()).toString('latin1')
    expect(messageOf(() => parseX509Svid(leaf.certificate.der, Buffer.from(`${key}x`, 'latin1')))).not.toContain(key)
  })

  it('refuses no certificate, a CA first, a leaf behind it, and more than ten', () => {
    const { der } = leaf.certificate
    expect(codeOf(() => parseX509Svid(Buffer.alloc(0), pkcs8(leaf.key)))).toBe('invalid_svid')
    expect(messageOf(() => parseX509Svid(Buffer.concat([der, der]), pkcs8(leaf.key)))).toMatch('not that of a CA')
    expect(codeOf(() => parseX509Svid(root.certificate.der, pkcs8(root.key)))).toBe('invalid_svid')
    for (const half of [
      [basicConstraints(true), keyUsage('crlSign')],
      [basicConstraints(false), keyUsage('keyCertSign')],
    ]) {
      const behind = Buffer.concat([der, forge({ name: 'Half', issuer: root, extensions: half }).certificate.der])
      expect(messageOf(() => parseX509Svid(behind, pkcs8(leaf.key)))).toMatch('not that of a CA')
    }
    expect(codeOf(() => parseX509Svid(Buffer.concat(Array(11).fill(der)), pkcs8(leaf.key)))).toBe('invalid_certificate')
  })
})

describe('the authority for tests', () => {
  it('issues what verifies, before and after a rotation', () => {
    const authority = createTestAuthority('example.org', { now: () => now * 1000 })
    const before = authority.x509Svid('/a', { dnsNames: ['a'], lifetimeSeconds: 20 })
    const oldBundle = authority.bundle
    authority.rotate()
    const after = authority.x509Svid('/b')
    const set = bundleSet(authority.bundle)
    expect(`${verifyX509Svid(before.certificates, set, now)} ${verifyX509Svid(after.certificates, set, now)}`).toBe(
      'spiffe://example.org/a spiffe://example.org/b',
    )
    expect(codeOf(() => verifyX509Svid(after.certificates, bundleSet(oldBundle), now))).toBe('untrusted_svid')
    expect(before.expiresAt).toBe(now + 20)
    expect([oldBundle.sequenceNumber, authority.bundle.sequenceNumber]).toEqual([1, 2])
  })

  it('issues plain certificates', () => {
    const { certificatePem, keyPem } = createTestAuthority('example.org').certificate({
      commonName: 'db',
      dnsNames: ['db'],
    })
    expect([certificatePem, keyPem].map((pem) => pem.split('\n')[0])).toEqual([
      '-----BEGIN CERTIFICATE-----',
      '-----BEGIN PRIVATE KEY-----',
    ])
  })
})

it('leafExtensions of the fixture make a leaf that passes', () => {
  expect(verify(forge({ issuer: root, extensions: leafExtensions('spiffe://example.org/a') }))).toBe('accepted')
})

function bundleSet(...all: Bundle[]): Map<string, Bundle> {
  return new Map(all.map((bundle) => [bundle.trustDomain, bundle]))
}
