import { describe, expect, it } from 'vitest'
import { parseJwt } from '../jwt/parse-jwt.ts'
import { generateSigningKey } from '../keys/generate-key.ts'
import { refusal } from '../refusal.fixture.ts'
import { md5RequestHash, md5RequestHashes } from './md5-hash.ts'
import { checkMd5Token, createMd5TokenSigner, md5TokenSender } from './md5-token.ts'
import { binding, call, forged, goodClaims, now, order, reasonOf, stranger } from './service-token.fixture.ts'
import { createServiceTokenSigner } from './service-token-signer.ts'

const key = { key: order.pair.privateKey, publicJwk: order.pair.publicJwk }
const requestHash = md5RequestHash(call)
const claims = { iss: 'order-service', sender: 'order-service', requestHash, iat: now, exp: now + 900 }
const changed = (changes: object, header: object = {}) => forged({ ...claims, ...changes }, { typ: 'JWT', ...header })
const verdict = (token: string, hashes = md5RequestHashes(call), at = now) =>
  reasonOf(() => checkMd5Token(parseJwt(token), order.key, { hashes }, at))

describe('createMd5TokenSigner', () => {
  const signer = createMd5TokenSigner({ name: 'order', key, now: () => now * 1000 })

  it('signs exactly what the contract names, for 15 minutes', () => {
    const { header, claims: signed } = parseJwt(signer.sign(requestHash))
    expect(header).toEqual({ alg: 'EdDSA', typ: 'JWT', kid: order.pair.kid })
    expect(signed).toEqual(claims)
    expect(signer).toMatchObject({ sender: 'order-service', kid: order.pair.kid })
    expect(verdict(signer.sign(requestHash))).toBe('accepted')
  })

  it('refuses a longer life, a name that is none, another kind of key', async () => {
    const options = { name: 'order', key, now: Date.now }
    expect(() => createMd5TokenSigner({ ...options, lifetimeSeconds: 901 })).toThrow(RangeError)
    expect(refusal(() => createMd5TokenSigner({ ...options, name: 'a b' }))).toBe('invalid_claim/sender')
    const { privateKey, publicJwk } = await generateSigningKey('ES256')
    const ec = { key: privateKey, publicJwk }
    expect(refusal(() => createMd5TokenSigner({ ...options, key: ec }))).toBe('invalid_key/alg')
  })
})

describe('checkMd5Token', () => {
  it('takes tokens as others sign them: with no type, no kid, and claims that nobody knows', () => {
    for (const header of [
      { typ: undefined },
      { typ: 'jwt' },
      { kid: undefined },
      { kid: 'key-1' },
      { alg: 'Ed25519' },
    ]) {
      expect(verdict(changed({}, header))).toBe('accepted')
    }
    expect(verdict(changed({ aud: 'x', sub: 'y', anything: 1 }))).toBe('accepted')
    expect(md5TokenSender(parseJwt(changed({})))).toBe('order')
  })

  it('never judges a service token, whatever it holds, nor any other type of token', () => {
    const service = createServiceTokenSigner({ name: 'order', key, now: () => now * 1000 })
    expect(verdict(service.sign({ audience: 'inventory-service', binding }))).toBe('typ')
    expect(verdict(forged({ ...goodClaims, ...claims }))).toBe('typ')
    for (const typ of ['m2m+jwt', 'M2M+JWT', 'application/m2m+jwt', 'at+jwt', 'client-authentication+jwt', '']) {
      expect(verdict(changed({}, { typ }))).toBe('typ')
      expect(reasonOf(() => md5TokenSender(parseJwt(changed({}, { typ }))))).toBe('typ')
    }
  })

  it('never lets the token choose its algorithm', () => {
    for (const alg of ['none', 'HS256', 'ES256', 'RS256']) {
      expect(verdict(changed({}, { alg }))).toBe('alg')
      expect(reasonOf(() => md5TokenSender(parseJwt(changed({}, { alg }))))).toBe('alg')
    }
  })

  it('refuses another sender, another key, another request', () => {
    expect(verdict(changed({ iss: 'payment-service' }))).toBe('iss')
    expect(verdict(changed({ iss: undefined }))).toBe('iss')
    expect(verdict(changed({ iss: 'order', sender: 'order' }))).toBe('sender')
    expect(verdict(changed({ sender: undefined }))).toBe('sender')
    expect(verdict(forged(claims, { typ: 'JWT' }, stranger))).toBe('signature')
    for (const other of [
      { ...call, method: 'PUT' },
      { ...call, target: '/v1/stock?sku=2' },
      { ...call, target: '/v1/stock' },
      { ...call, target: '/v1//stock?sku=1' },
      { ...call, content: Buffer.from('{"n":2}') },
      { ...call, content: new Uint8Array() },
    ]) {
      expect(verdict(changed({}), md5RequestHashes(other))).toBe('digest')
    }
  })

  it('refuses a hash that is none', () => {
    for (const hash of [undefined, null, 7, '', requestHash.toUpperCase(), `${requestHash}0`, [requestHash]]) {
      expect(verdict(changed({ requestHash: hash }))).toBe('digest')
    }
    expect(verdict(changed({ requestHash: undefined }), [undefined as unknown as string])).toBe('digest')
    expect(verdict(changed({}), [])).toBe('digest')
  })

  it('refuses a life of more than 15 minutes and what is not valid now', () => {
    expect(verdict(changed({ exp: now + 901 }))).toBe('exp')
    expect(verdict(changed({ exp: undefined }))).toBe('exp')
    expect(verdict(changed({ iat: String(now) }))).toBe('iat')
    expect(verdict(changed({}), md5RequestHashes(call), now + 910)).toBe('expired')
    expect(verdict(changed({}), md5RequestHashes(call), now - 11)).toBe('iat')
  })
})
