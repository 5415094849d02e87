import { describe, expect, it } from 'vitest'
import { refusal } from '../refusal.fixture.ts'
import { generateSigningKey } from './generate-key.ts'
import { parseJwks, selectKey } from './key-set.ts'

const ec = (await generateSigningKey('ES256')).publicJwk
const ec2 = (await generateSigningKey('ES256')).publicJwk
const rsa = (await generateSigningKey('RS256')).publicJwk
const { alg: _, ...openRsa } = rsa
const kids = (...keys: unknown[]) => parseJwks({ keys }).map((key) => key.kid)
const refused = (...keys: unknown[]) => refusal(() => parseJwks({ keys }))

describe('parseJwks', () => {
  it('reads the usable keys in order', () => {
    expect(kids(ec, rsa, ec2)).toEqual([ec.kid, rsa.kid, ec2.kid])
    expect(kids()).toEqual([])
  })

  it('leaves out keys of unknown type, for other uses, too weak or malformed', () => {
    const others = [
      { kty: 'FUTURE', d: 'not private there' },
      { ...ec2, use: 'enc' },
      { ...rsa, kid: 'weak', e: 'Aw' },
      { kty: 'EC' },
      { ...ec2, crv: 'secp256k1' },
      null,
      'text',
      [],
    ]
    expect(kids(...others, ec)).toEqual([ec.kid])
  })

  it('refuses the whole set for a private or symmetric key', () => {
    expect(refused(ec, { ...ec2, d: 'AAAA' })).toBe('invalid_key/d')
    expect(refused(ec, { kty: 'oct', k: '', kid: 'x' })).toBe('invalid_key/k')
  })

  it('refuses the whole set for a repeated kid', () => {
    expect(refused(ec, { ...ec2, kid: ec.kid })).toBe('invalid_key/kid')
    expect(refused({ ...ec, kid: '__proto__' }, { ...ec2, kid: '__proto__' })).toBe('invalid_key/kid')
  })

  it('refuses one key published for two algorithms', () => {
    expect(refused(rsa, { ...rsa, kid: 'other', alg: 'PS256' })).toBe('invalid_key/alg')
    expect(refused(rsa, { ...openRsa, kid: 'other' })).toBe('invalid_key/alg')
    expect(refused(rsa, { ...rsa, kid: 'other' })).toBe('accepted')
  })

  it('refuses what is no set, and more keys than the limit', () => {
    for (const document of [null, [], {}, { keys: {} }, { keys: null }, 'text', undefined]) {
      expect(refusal(() => parseJwks(document))).toBe('invalid_key')
    }
    expect(refusal(() => parseJwks({ keys: Array(101).fill(null) }))).toBe('invalid_key')
    expect(refusal(() => parseJwks({ keys: [ec, ec2] }, { maximumKeys: 1 }))).toBe('invalid_key')
  })
})

describe('selectKey', () => {
  const keys = parseJwks({ keys: [ec, rsa] })

  it('finds a key by its exact kid', () => {
    expect(selectKey(keys, { alg: 'ES256', kid: ec.kid! })?.kid).toBe(ec.kid)
    expect(selectKey(keys, { alg: 'ES256', kid: ec.kid!.toLowerCase() })).toBeUndefined()
    expect(selectKey(keys, { alg: 'ES256', kid: '' })).toBeUndefined()
  })

  it('leaves a wrong algorithm for the signature check to name', () => {
    expect(selectKey(keys, { alg: 'RS256', kid: ec.kid! })?.kid).toBe(ec.kid)
  })

  it('without a kid finds the only key that fits, and none among several', () => {
    expect(selectKey(keys, { alg: 'ES256' })?.kid).toBe(ec.kid)
    expect(selectKey(parseJwks({ keys: [ec, ec2] }), { alg: 'ES256' })).toBeUndefined()
    expect(selectKey(keys, { alg: 'none' })).toBeUndefined()
    expect(selectKey([], { alg: 'ES256' })).toBeUndefined()
  })
})
