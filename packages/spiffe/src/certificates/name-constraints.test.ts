import { describe, expect, it } from 'vitest'
import { contextTag } from '../der/der-reader.ts'
import { element, objectIdentifier, sequence, utf8String } from '../der/write-der.ts'
import { messageOf } from '../refusal.fixture.ts'
import { extensionIds } from './extensions.ts'
import { extension, type Forged, forge, forgeCa, forgeLeaf, now } from './forged.fixture.ts'
import { addressBytes, nameTags, writeGeneralNames } from './general-names.ts'
import { verifyCertificateChain } from './verify-chain.ts'

const uri = (text: string) => element(nameTags.uri, Buffer.from(text))
const dns = (text: string) => element(nameTags.dnsName, Buffer.from(text))
const email = (text: string) => element(nameTags.email, Buffer.from(text))
const range = (address: string, mask: string) => element(nameTags.ipAddress, addressBytes(address), addressBytes(mask))
const directory = element(
  contextTag(4, 'constructed'),
  sequence(element(0x31, sequence(objectIdentifier('2.5.4.10'), utf8String('Example')))),
)

describe('name constraints on the trust domain of an ID', () => {
  it.each([
    ['spiffe://example.org/a', 'example.org', true],
    ['spiffe://example.org/a', 'EXAMPLE.org', true],
    ['spiffe://sub.example.org/a', 'example.org', false],
    ['spiffe://sub.example.org/a', '.example.org', true],
    ['spiffe://example.org/a', '.example.org', false],
    ['spiffe://evilexample.org/a', '.example.org', false],
    ['spiffe://other.org/a', 'example.org', false],
    ['spiffe://other.org/example.org', 'example.org', false],
    ['https://user@example.org:8443/a?b', 'example.org', true],
    ['https://example.org@evil.org/a', 'example.org', false],
    ['urn:example.org', 'example.org', false],
    ['https://10.0.0.1/', '10.0.0.1', false],
  ])('%s under the permitted %s: %s', (name, constraint, isPermitted) => {
    const ca = constrained({ permitted: [uri(constraint)] })
    expect(verdict(forgeLeaf(ca, name), ca) === 'accepted').toBe(isPermitted)
  })

  it.each([
    ['spiffe://example.org/a', 'example.org', false],
    ['spiffe://other.org/a', 'example.org', true],
    // What cannot be compared is not free of the exclusion.
    ['urn:other', 'example.org', false],
  ])('%s under the excluded %s: %s', (name, constraint, isPermitted) => {
    const ca = constrained({ excluded: [uri(constraint)] })
    expect(verdict(forgeLeaf(ca, name), ca) === 'accepted').toBe(isPermitted)
  })

  it('hold for a leaf below an intermediate, and for the intermediate itself', () => {
    const ca = constrained({ permitted: [uri('example.org')] })
    const plain = forgeCa('Plain', { issuer: ca })
    expect(verdict(forgeLeaf(plain, 'spiffe://other.org/a'), ca, plain)).toMatch('does not permit')
    const named = forgeCa('Named', { issuer: ca, extensions: [names({ uris: ['spiffe://other.org'] })] })
    expect(verdict(forgeLeaf(named, 'spiffe://example.org/a'), ca, named)).toMatch('does not permit')
  })

  it('of an intermediate hold as those of a root do', () => {
    const root = forgeCa('Root')
    const ca = constrained({ permitted: [uri('example.org')] }, root)
    expect(verdict(forgeLeaf(ca, 'spiffe://example.org/a'), root, ca)).toBe('accepted')
    expect(verdict(forgeLeaf(ca, 'spiffe://other.org/a'), root, ca)).toMatch('does not permit')
  })

  it('do not hold for a CA that only has a new key', () => {
    const ca = constrained({ permitted: [uri('example.org')] })
    const own = names({ uris: ['spiffe://other.org'] })
    const newKey = forgeCa('Constrained', { issuer: ca, extensions: [own] })
    expect(verdict(forgeLeaf(newKey, 'spiffe://example.org/a'), ca, newKey)).toBe('accepted')
  })

  it('are not loosened by a self-issued leaf', () => {
    const ca = constrained({ permitted: [uri('example.org')] })
    const leaf = forge({ name: 'Constrained', issuer: ca, extensions: [names({ uris: ['spiffe://other.org/a'] })] })
    expect(verdict(leaf, ca)).toMatch('does not permit')
  })
})

describe('name constraints on other names', () => {
  it.each([
    [dns('example.org'), { dnsNames: ['a.EXAMPLE.org', 'example.org'] }, true],
    [dns('.example.org'), { dnsNames: ['a.example.org'] }, true],
    [dns('.example.org'), { dnsNames: ['example.org'] }, false],
    [dns('example.org'), { dnsNames: ['evilexample.org'] }, false],
    [dns('example.org'), { dnsNames: ['example.org', 'other.org'] }, false],
    [dns(''), { dnsNames: ['any.org'] }, true],
    [range('10.0.0.0', '255.0.0.0'), { ipAddresses: ['10.1.2.3'] }, true],
    [range('10.0.0.0', '255.0.0.0'), { ipAddresses: ['11.1.2.3'] }, false],
    [range('2001:db8::', 'ffff:ffff::'), { ipAddresses: ['2001:db8:0:1::2'] }, true],
    // A form that is not constrained is free.
    [dns('example.org'), { ipAddresses: ['10.1.2.3'] }, true],
  ])('%# permitted', (subtree, given, isPermitted) => {
    const ca = constrained({ permitted: [subtree] })
    const leaf = forge({ issuer: ca, extensions: [names(given)] })
    expect(verdict(leaf, ca) === 'accepted').toBe(isPermitted)
  })

  it('cannot be gone around by an IPv4 address that is written as one of IPv6', () => {
    const ca = constrained({ excluded: [range('10.0.0.0', '255.0.0.0')] })
    const mapped = element(nameTags.ipAddress, Buffer.from('00000000000000000000ffff0a010203', 'hex'))
    const own = extension(extensionIds.subjectAlternativeName, sequence(mapped), true)
    expect(messageOf(() => forge({ issuer: ca, extensions: [own] }))).toMatch('IPv4 address is written as one of IPv6')
    // We never write it so.
    expect(verdict(forge({ issuer: ca, extensions: [names({ ipAddresses: ['::ffff:10.1.2.3'] })] }), ca)).toMatch(
      'excludes the name "10.1.2.3"',
    )
  })

  it.each([
    ['a.example.org', 'b.example.org', true],
    ['a.example.org', 'a.example.org', false],
    ['a.example.org', 'x.a.example.org', false],
    // CVE-2025-61727: the wildcard stands for the excluded name too.
    ['a.example.org', '*.example.org', false],
    ['a.example.org', '*.other.org', true],
    ['a.b.example.org', '*.example.org', true],
  ])('that exclude %s, on the host %s: %s', (constraint, name, isPermitted) => {
    const ca = constrained({ excluded: [dns(constraint)] })
    const leaf = forge({ issuer: ca, extensions: [names({ dnsNames: [name] })] })
    expect(verdict(leaf, ca) === 'accepted').toBe(isPermitted)
  })

  it.each([
    ['a@example.org', 'a@example.org', true],
    ['a@example.org', 'A@example.org', false],
    ['a@example.org', 'b@example.org', false],
    ['example.org', 'any@EXAMPLE.org', true],
    ['example.org', 'any@sub.example.org', false],
    ['.example.org', 'any@sub.example.org', true],
    ['example.org', 'not an address', false],
  ])('mailboxes by %s: %s %s', (constraint, address, isPermitted) => {
    const ca = constrained({ permitted: [email(constraint)] })
    const leaf = forge({
      issuer: ca,
      extensions: [extension(extensionIds.subjectAlternativeName, sequence(email(address)), true)],
    })
    expect(verdict(leaf, ca) === 'accepted').toBe(isPermitted)
  })

  it('that are not compared here end the path, whatever the leaf is called', () => {
    for (const subtrees of [{ permitted: [directory] }, { excluded: [directory] }]) {
      const ca = constrained(subtrees)
      expect(verdict(forgeLeaf(ca), ca)).toMatch('form of name that is not supported')
    }
  })

  it('are compared with a bounded number of names, as a CA below a trusted one makes both', () => {
    const many = names({ uris: Array.from({ length: 900 }, (_, index) => `spiffe://a${index}/b`) })
    const excluded = Array.from({ length: 900 }, (_, index) => uri(`b${index}`))
    const root = forgeCa('Root')
    const first = constrained({ excluded }, root)
    const second = constrained({ excluded }, first)
    const before = process.cpuUsage()
    expect(verdict(forge({ issuer: second, extensions: [many] }), root, second, first)).toMatch('too many')
    expect(process.cpuUsage(before).user / 1000).toBeLessThan(500)
    const few = constrained({ excluded: excluded.slice(0, 100) })
    const some = names({ dnsNames: Array.from({ length: 90 }, (_, index) => `a${index}.example.org`) })
    expect(verdict(forge({ issuer: few, extensions: [some] }), few)).toBe('accepted')
  })
})

function constrained(subtrees: { permitted?: Buffer[]; excluded?: Buffer[] }, issuer?: Forged): Forged {
  const lists = [subtrees.permitted, subtrees.excluded].flatMap((list, number) =>
    list === undefined ? [] : [element(contextTag(number, 'constructed'), ...list.map((base) => sequence(base)))],
  )
  const constraints = extension(extensionIds.nameConstraints, sequence(...lists), true)
  return forgeCa('Constrained', { issuer, extensions: [constraints] })
}

function names(given: { uris?: string[]; dnsNames?: string[]; ipAddresses?: string[] }): Buffer {
  return extension(extensionIds.subjectAlternativeName, sequence(...writeGeneralNames(given)), true)
}

function verdict(leaf: Forged, anchor: Forged, ...others: Forged[]): string {
  const chain = [leaf, ...others].map(({ certificate }) => certificate)
  return messageOf(() => verifyCertificateChain(chain, [anchor.certificate], now))
}
