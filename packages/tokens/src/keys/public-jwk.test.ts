import { generateKeyPairSync } from 'node:crypto'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { refusal } from '../refusal.fixture.ts'
import { generateSigningKey } from './generate-key.ts'
import { importPublicJwk, type PublicJwk } from './public-jwk.ts'

const ec = (await generateSigningKey('ES256')).publicJwk
const rsa = (await generateSigningKey('RS256')).publicJwk
const ed = (await generateSigningKey('EdDSA')).publicJwk
const refused = (jwk: unknown) => refusal(() => importPublicJwk(jwk))
const without = (jwk: PublicJwk, ...names: string[]) =>
  Object.fromEntries(Object.entries(jwk).filter(([name]) => !names.includes(name)))
const hex = (text: string) => Buffer.from(text, 'hex').toString('base64url')

describe('importPublicJwk', () => {
  it('gives a key the one algorithm that it names', () => {
    expect(importPublicJwk(ec)).toMatchObject({ kid: ec.kid, algorithms: ['ES256'], jwk: ec })
    expect(importPublicJwk(rsa).algorithms).toEqual(['RS256'])
  })

  it('takes EdDSA and Ed25519 for the two names of one algorithm (RFC 9864)', () => {
    expect(importPublicJwk(ed).algorithms).toEqual(['EdDSA', 'Ed25519'])
    expect(importPublicJwk({ ...ed, alg: 'Ed25519' }).algorithms).toEqual(['EdDSA', 'Ed25519'])
  })

  it('gives a key that names none all that fit it', () => {
    expect(importPublicJwk(without(ec, 'alg')).algorithms).toEqual(['ES256'])
    expect(importPublicJwk(without(ed, 'alg')).algorithms).toEqual(['EdDSA', 'Ed25519'])
    expect(importPublicJwk(without(rsa, 'alg')).algorithms).toHaveLength(6)
  })

  it('keeps only the members that it knows', () => {
    const { jwk } = importPublicJwk({
      ...ec,
      x5c: ['MIIB'],
      x5u: 'https://evil.example',
      extra: 1,
      key_ops: ['verify'],
    })
    expect(jwk).toEqual(ec)
  })

  it.each(['d', 'p', 'q', 'dp', 'dq', 'qi', 'oth', 'k', 'priv'])(
    'refuses the private member %s, even if null',
    (name) => {
      for (const jwk of [ec, rsa, ed]) expect(refused({ ...jwk, [name]: null })).toBe(`invalid_key/${name}`)
    },
  )

  it('refuses symmetric keys, unknown types and curves', () => {
    expect(refused({ kty: 'oct' })).toBe('invalid_key/kty')
    expect(refused({ kty: 'oct', k: 'AAAA' })).toBe('invalid_key/k')
    for (const kty of ['ec', 'AKP', '', undefined, null, 1]) expect(refused({ ...ec, kty })).toBe('invalid_key/kty')
    for (const crv of ['secp256k1', 'P-192', 'p-256', 'constructor', undefined]) {
      expect(refused({ ...ec, crv })).toBe('invalid_key/crv')
    }
    for (const crv of ['X25519', 'Ed448', 'P-256']) expect(refused({ ...ed, crv })).toBe('invalid_key/crv')
  })

  it('refuses keys that are not for verifying', () => {
    for (const use of ['enc', '', 1, null]) expect(refused({ ...ec, use })).toBe('invalid_key/use')
    for (const key_ops of [['sign'], [], 'verify', null])
      expect(refused({ ...ec, key_ops })).toBe('invalid_key/key_ops')
    expect(refused({ ...ec, key_ops: ['verify'] })).toBe('accepted')
  })

  it('refuses an algorithm that does not fit, such as ES384 on P-256', () => {
    for (const alg of ['ES384', 'ES512', 'RS256', 'none', 'HS256', '', null, ['ES256']]) {
      expect(refused({ ...ec, alg })).toBe('invalid_key/alg')
    }
    expect(refused({ ...rsa, alg: 'ES256' })).toBe('invalid_key/alg')
    expect(refused({ ...ed, alg: 'ES256' })).toBe('invalid_key/alg')
    expect(refused({ ...rsa, alg: 'RSA-OAEP' })).toBe('invalid_key/alg')
  })

  it('refuses points off their curve, and coordinates of a wrong length', () => {
    const y = Buffer.from(ec.y!, 'base64url')
    y[31]! ^= 1
    expect(refused({ ...ec, y: y.toString('base64url') })).toBe('weak_key/x')
    expect(refused({ ...ec, x: hex('00'.repeat(32)), y: hex('00'.repeat(32)) })).toBe('weak_key/x')
    expect(refused({ ...ec, x: hex(`00${Buffer.from(ec.x!, 'base64url').toString('hex')}`) })).toBe('invalid_key/x')
    expect(refused({ ...ec, x: ec.x!.slice(0, 40) })).toBe('invalid_key/x')
    expect(refused({ ...ec, crv: 'P-384', alg: 'ES384' })).toBe('invalid_key/x')
    expect(refused({ ...ed, x: ed.x!.slice(0, 40) })).toBe('invalid_key/x')
  })

  it('refuses members that are missing, no strings, or not canonical base64url', () => {
    for (const bad of [undefined, null, 1, '', `${ec.x}=`, ` ${ec.x}`, [ec.x], 'A'.repeat(100_000)]) {
      expect(refused({ ...ec, x: bad })).toBe('invalid_key/x')
      expect(refused({ ...ed, x: bad })).toBe('invalid_key/x')
      expect(refused({ ...rsa, n: bad })).toBe('invalid_key/n')
      expect(refused({ ...rsa, e: bad })).toBe('invalid_key/e')
    }
  })

  it.each([
    '0000000000000000000000000000000000000000000000000000000000000000',
    '0000000000000000000000000000000000000000000000000000000000000080',
    '0100000000000000000000000000000000000000000000000000000000000000',
    'ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
    '26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05',
    '26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85',
    'c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a',
    'c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa',
    '0100000000000000000000000000000000000000000000000000000000000080',
    'ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff',
    'edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
    'edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff',
    'eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
    'eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff',
  ])('refuses the small-order Ed25519 encoding %s', (encoding) => {
    expect(refused({ ...ed, x: hex(encoding) })).toBe('weak_key/x')
  })

  it('refuses Ed25519 encodings that are no point, and accepts every generated key', () => {
    const notPoints = fc
      .uint8Array({ minLength: 32, maxLength: 32 })
      .map((bytes) => refused({ ...ed, x: Buffer.from(bytes).toString('base64url') }))
    const verdicts = fc.sample(notPoints, 200)
    expect(new Set(verdicts)).toEqual(new Set(['accepted', 'weak_key/x']))
    for (let round = 0; round < 100; round += 1) {
      const { publicKey } = generateKeyPairSync('ed25519')
      expect(refused(publicKey.export({ format: 'jwk' }))).toBe('accepted')
    }
  })

  it('refuses RSA keys under 2048 bits', () => {
    for (const modulusLength of [512, 1024, 2040]) {
      const { publicKey } = generateKeyPairSync('rsa', { modulusLength })
      expect(refused(publicKey.export({ format: 'jwk' }))).toBe('weak_key/n')
    }
  })

  it('refuses RSA exponents of 1, 3, even ones and huge ones', () => {
    for (const e of ['01', '03', '010000', '010002']) expect(refused({ ...rsa, e: hex(e) })).toBe('weak_key/e')
    for (const e of ['', '00010001', '00', '0100000001']) expect(refused({ ...rsa, e: hex(e) })).toBe('invalid_key/e')
    expect(refused({ ...rsa, e: hex('010003') })).toBe('accepted')
  })

  it('refuses RSA moduli that are even, start with zeros, or are huge', () => {
    const n = Buffer.from(rsa.n!, 'base64url')
    expect(refused({ ...rsa, n: Buffer.concat([n.subarray(0, -1), Buffer.from([2])]).toString('base64url') })).toBe(
      'weak_key/n',
    )
    expect(refused({ ...rsa, n: Buffer.concat([Buffer.alloc(1), n]).toString('base64url') })).toBe('invalid_key/n')
    expect(refused({ ...rsa, n: Buffer.concat([n, n, n, n, n]).toString('base64url') })).toMatch('invalid_key')
  })

  it('refuses odd key ids', () => {
    for (const kid of ['', 1, null, {}, 'k'.repeat(1025)]) expect(refused({ ...ec, kid })).toBe('invalid_key/kid')
  })

  it('never throws anything but a TokenError', () => {
    for (const jwk of [null, undefined, 1, 'text', [], [ec]]) expect(refused(jwk)).toBe('invalid_key')
    const names = fc.constantFrom('kty', 'crv', 'x', 'y', 'n', 'e', 'kid', 'alg', 'use', 'key_ops')
    const changes = fc.dictionary(names, fc.oneof(fc.string(), fc.jsonValue({ maxDepth: 1 })), {
      noNullPrototype: true,
    })
    fc.assert(fc.property(fc.constantFrom(ec, rsa, ed), changes, (jwk, change) => void refused({ ...jwk, ...change })))
  })
})
