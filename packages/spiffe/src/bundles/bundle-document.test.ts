import { generateKeyPairSync } from 'node:crypto'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { forgeCa } from '../certificates/forged.fixture.ts'
import { codeOf, messageOf } from '../refusal.fixture.ts'
import { createTestAuthority } from '../test-authority.ts'
import { type Bundle, createBundle } from './bundle.ts'
import { formatBundleDocument, formatJwtBundle, parseBundleDocument, parseJwtBundle } from './bundle-document.ts'

const { certificate: ca } = forgeCa('CA')
const es256 = generateKeyPairSync('ec', { namedCurve: 'P-256' })
const jwk = es256.publicKey.export({ format: 'jwk' })
const x509Entry = { ...ca.publicKey.export({ format: 'jwk' }), use: 'x509-svid', x5c: [ca.der.toString('base64')] }
const jwtEntry = { ...jwk, use: 'jwt-svid', kid: 'a' }
const parse = (document: unknown) => parseBundleDocument('example.org', JSON.stringify(document))
const shape = ({ x509Authorities, jwtAuthorities, ...rest }: Bundle) => ({
  ...rest,
  x509: x509Authorities.map(({ subject }) => subject),
  jwt: [...jwtAuthorities.keys()],
})

describe('a bundle document', () => {
  it('goes there and back', () => {
    const authority = createTestAuthority('example.org')
    authority.rotate()
    const { bundle } = authority
    const read = parseBundleDocument('example.org', formatBundleDocument(bundle))
    expect(shape(read)).toEqual(shape(bundle))
    expect(read.x509Authorities.map(({ der }) => der.toString('hex'))).toEqual(
      bundle.x509Authorities.map(({ der }) => der.toString('hex')),
    )
    for (const [keyId, { publicKey }] of bundle.jwtAuthorities) {
      expect(read.jwtAuthorities.get(keyId)!.publicKey.equals(publicKey)).toBe(true)
    }
    expect(read).toMatchObject({ sequenceNumber: 2, refreshHintSeconds: 300 })
  })

  it('has entries as the standards want them', () => {
    const document = JSON.parse(formatBundleDocument(parse({ keys: [x509Entry, jwtEntry], spiffe_sequence: 7 })))
    expect(document).toEqual({ keys: [x509Entry, jwtEntry], spiffe_sequence: 7 })
    expect(Object.hasOwn(document.keys[0], 'kid')).toBe(false)
  })

  it('carries a root with an Ed25519 key there and back', () => {
    const { privateKey: key } = generateKeyPairSync('ed25519')
    const bundle = createBundle({ trustDomain: 'example.org', x509Authorities: [forgeCa('Ed', { key }).certificate] })
    expect(shape(parseBundleDocument('example.org', formatBundleDocument(bundle))).x509).toEqual(['CN=Ed'])
  })

  it('keeps the only algorithm that a key is for', () => {
    const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 }).publicKey.export({ format: 'jwk' })
    const bundle = parse({ keys: [{ ...rsa, use: 'jwt-svid', kid: 'a', alg: 'PS256' }] })
    expect(bundle.jwtAuthorities.get('a')!.verificationKey.algorithms).toEqual(['PS256'])
    expect(JSON.parse(formatBundleDocument(bundle)).keys).toMatchObject([{ alg: 'PS256' }])
  })

  it('may come as bytes', () => {
    const bytes = new TextEncoder().encode(JSON.stringify({ keys: [x509Entry] }))
    expect(shape(parseBundleDocument('example.org', bytes))).toMatchObject({ x509: ['CN=CA'] })
  })

  it('trusts nothing when it has no keys, or none that are known', () => {
    expect(shape(parse({ keys: [] }))).toEqual({ trustDomain: 'example.org', x509: [], jwt: [] })
    const unknown = [
      { kty: 'unheard-of', use: 'jwt-svid', kid: 'a' },
      { kty: 'OKP', crv: 'Ed25519', x: 'AA', use: 'jwt-svid', kid: 'a' },
      { kty: 'EC', crv: 'secp256k1', x: 'AA', y: 'AA', use: 'jwt-svid', kid: 'a' },
      { ...jwk, use: 'wit-svid', kid: 'a' },
      { ...jwk, use: 'sig', kid: 'a' },
      { ...jwk, use: 'JWT-SVID', kid: 'a' },
      { ...jwk, kid: 'a' },
      { ...x509Entry, use: undefined },
      { ...x509Entry, kty: 'unheard-of' },
      { ...x509Entry, x5c: undefined },
      { ...x509Entry, x5c: [] },
    ]
    expect(shape(parse({ keys: unknown }))).toMatchObject({ x509: [], jwt: [] })
  })

  it('of several certificates in one entry counts the first', () => {
    const second = forgeCa('Second').certificate.der.toString('base64')
    expect(shape(parse({ keys: [{ ...x509Entry, x5c: [...x509Entry.x5c, second] }] })).x509).toEqual(['CN=CA'])
  })

  it('keeps an order of sequence numbers beyond 2^53', () => {
    const text = '{"keys":[],"spiffe_sequence":18446744073709551615}'
    expect(parseBundleDocument('example.org', text).sequenceNumber).toBe(2 ** 64)
  })

  it.each([
    ['nothing', ''],
    ['what is not JSON', '{'],
    ['what is no object', '[]'],
    ['no keys', '{}'],
    ['keys that are no array', '{"keys":{}}'],
    ['keys that are null', '{"keys":null}'],
    ['a key that is no object', '{"keys":[1]}'],
    ['a member twice', '{"keys":[],"keys":[]}'],
    ['a sequence number that is negative', '{"keys":[],"spiffe_sequence":-1}'],
    ['a sequence number that is text', '{"keys":[],"spiffe_sequence":"1"}'],
    ['half a sequence number', '{"keys":[],"spiffe_sequence":1.5}'],
    ['a sequence number beyond 64 bits', '{"keys":[],"spiffe_sequence":1e20}'],
    ['a refresh hint that is negative', '{"keys":[],"spiffe_refresh_hint":-1}'],
    ['a refresh hint of many lives', '{"keys":[],"spiffe_refresh_hint":1e12}'],
  ])('is refused with %s', (_what, text) => {
    expect(codeOf(() => parseBundleDocument('example.org', text))).toBe('invalid_bundle')
  })

  it.each<[string, object[]]>([
    ['a JWT key without kid', [{ ...jwtEntry, kid: undefined }]],
    ['a JWT key with an empty kid', [{ ...jwtEntry, kid: '' }]],
    [
      'two JWT keys with one kid',
      [
        jwtEntry,
        { ...jwtEntry, ...generateKeyPairSync('ec', { namedCurve: 'P-256' }).publicKey.export({ format: 'jwk' }) },
      ],
    ],
    ['a private JWT key', [{ ...es256.privateKey.export({ format: 'jwk' }), use: 'jwt-svid', kid: 'a' }]],
    ['the private key of a CA', [{ ...x509Entry, d: 'AAAA' }]],
    ['a point off the curve', [{ ...jwtEntry, x: jwtEntry.y }]],
    [
      'a weak RSA key',
      [{ kty: 'RSA', n: Buffer.alloc(128, 0xff).toString('base64url'), e: 'AQAB', use: 'jwt-svid', kid: 'a' }],
    ],
    ['a certificate that is none', [{ ...x509Entry, x5c: ['AAAA'] }]],
    ['a certificate that is not base64', [{ ...x509Entry, x5c: [`${x509Entry.x5c[0]} `] }]],
    ['a certificate that is no text', [{ ...x509Entry, x5c: [1] }]],
    ['an x5c that is no array', [{ ...x509Entry, x5c: x509Entry.x5c[0] }]],
    ['more than 1000 keys', Array(1001).fill({ kty: 'unheard-of' })],
  ])('is refused with %s', (_what, keys) => {
    expect(codeOf(() => parse({ keys }))).toBe('invalid_bundle')
  })

  it('is refused above 4 MiB, and when nested deeply', () => {
    expect(messageOf(() => parse({ keys: [], padding: 'a'.repeat(4 * 1024 * 1024) }))).toMatch('too large')
    const deep = '['.repeat(10_000) + ']'.repeat(10_000)
    expect(codeOf(() => parseBundleDocument('example.org', `{"keys":[],"x":${deep}}`))).toBe('invalid_bundle')
  })

  it('does not show a private key that it refuses', () => {
    const leaked = es256.privateKey.export({ format: 'jwk' })
    const message = messageOf(() => parse({ keys: [{ ...leaked, use: 'jwt-svid', kid: 'a' }] }))
    expect(message).toMatch('private member "d"')
    expect(message).not.toContain(leaked.d)
  })

  it('ends in a bundle or in a refusal, whatever JSON it is', () => {
    const entry = fc.record(
      {
        kty: fc.constantFrom('EC', 'RSA', 1),
        use: fc.constantFrom('x509-svid', 'jwt-svid'),
        kid: fc.jsonValue(),
        x5c: fc.jsonValue(),
        crv: fc.constantFrom('P-256', 'x', {}),
        x: fc.jsonValue(),
        n: fc.jsonValue(),
        e: fc.jsonValue(),
      },
      { requiredKeys: [] },
    )
    const document = fc.oneof(fc.jsonValue(), fc.record({ keys: fc.array(fc.oneof(entry, fc.jsonValue())) }))
    fc.assert(
      fc.property(document, (value) => {
        expect(['accepted', 'invalid_bundle']).toContain(codeOf(() => parse(value)))
      }),
      { numRuns: 1000 },
    )
  })

  it('is refused for what is no trust domain', () => {
    expect(codeOf(() => parseBundleDocument('spiffe://example.org/a', '{"keys":[]}'))).toBe('invalid_spiffe_id')
  })
})

describe('a JWT bundle of the Workload API', () => {
  it('goes there and back without anything but JWT keys', () => {
    const { bundle } = createTestAuthority('example.org')
    const text = formatJwtBundle(bundle)
    expect(JSON.parse(text)).toEqual({ keys: [expect.objectContaining({ kty: 'EC', kid: expect.any(String) })] })
    expect(JSON.parse(text).keys[0]).not.toHaveProperty('use')
    expect(shape(parseJwtBundle('example.org', text))).toMatchObject({
      x509: [],
      jwt: [...bundle.jwtAuthorities.keys()],
    })
  })

  it('takes keys with and without a use, and none for other uses', () => {
    const keys = [
      { ...jwk, kid: 'a' },
      { ...jwk, kid: 'b', use: 'jwt-svid' },
      { ...jwk, kid: 'c', use: 'sig' },
      { ...jwk, kid: 'd', use: 'enc' },
      x509Entry,
    ]
    expect(shape(parseJwtBundle('example.org', JSON.stringify({ keys }))).jwt).toEqual(['a', 'b', 'c'])
  })
})

describe('createBundle', () => {
  it('refuses keys that no JWT-SVID may be signed with', () => {
    const { publicKey } = generateKeyPairSync('ed25519')
    const make = () => createBundle({ trustDomain: 'example.org', jwtAuthorities: [{ keyId: 'a', publicKey }] })
    expect(messageOf(make)).toMatch('neither RSA nor EC')
  })

  it('refuses a private key, and a weak one', () => {
    const weak = generateKeyPairSync('rsa', { modulusLength: 1024 })
    for (const publicKey of [es256.privateKey, weak.publicKey]) {
      const make = () => createBundle({ trustDomain: 'example.org', jwtAuthorities: [{ keyId: 'a', publicKey }] })
      expect(codeOf(make)).toBe('invalid_bundle')
    }
  })

  it('keeps when a key expires', () => {
    const jwtAuthorities = [{ keyId: 'a', publicKey: es256.publicKey, expiresAt: 1 }]
    expect(createBundle({ trustDomain: 'example.org', jwtAuthorities }).jwtAuthorities.get('a')).toMatchObject({
      expiresAt: 1,
    })
  })
})
