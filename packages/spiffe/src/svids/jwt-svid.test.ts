import { createHmac, createPublicKey, generateKeyPairSync, type KeyObject, sign as signBytes } from 'node:crypto'
import { createSigner } from '@countersign/tokens'
import { SignJWT } from 'jose'
import { describe, expect, it } from 'vitest'
import { type Bundle, createBundle } from '../bundles/bundle.ts'
import { now } from '../certificates/forged.fixture.ts'
import { parseSpiffeId, spiffeId } from '../ids/spiffe-id.ts'
import { codeOf, messageOf } from '../refusal.fixture.ts'
import { createTestAuthority } from '../test-authority.ts'
import { type JwtSvidRules, parseJwtSvidUnverified, verifyJwtSvid } from './jwt-svid.ts'
import { signJwtSvid } from './sign-jwt-svid.ts'

const es256 = generateKeyPairSync('ec', { namedCurve: 'P-256' })
const es384 = generateKeyPairSync('ec', { namedCurve: 'P-384' })
const es512 = generateKeyPairSync('ec', { namedCurve: 'P-521' })
const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 })
const other = generateKeyPairSync('ec', { namedCurve: 'P-256' })
const keys = { es256, es384, es512, rsa }
const bundles = bundleSet(
  createBundle({
    trustDomain: 'example.org',
    jwtAuthorities: Object.entries(keys).map(([keyId, { publicKey }]) => ({ keyId, publicKey })),
  }),
  createBundle({ trustDomain: 'other.org', jwtAuthorities: [{ keyId: 'es256', publicKey: other.publicKey }] }),
)
const id = parseSpiffeId('spiffe://example.org/orders')
const good = { id, audience: ['stock'], issuedAt: now, expiresAt: now + 300, key: es256.privateKey, kid: 'es256' }
const claims = { sub: `${id}`, aud: 'stock', iat: now, exp: now + 300 }
const rules: JwtSvidRules = { audience: 'stock', bundles, now }
const verdict = (token: string, changes: Partial<JwtSvidRules> = {}) =>
  messageOf(() => verifyJwtSvid(token, { ...rules, ...changes }))

describe('verifyJwtSvid accepts', () => {
  it('what signJwtSvid signs, and says what it is', () => {
    const token = signJwtSvid({ ...good, issuer: 'https://auth.example.com/', jti: 'abc' })
    expect(verifyJwtSvid(token, rules)).toMatchObject({
      token,
      id,
      audience: ['stock'],
      issuedAt: now,
      expiresAt: now + 300,
      keyId: 'es256',
      claims: { iss: 'https://auth.example.com/', jti: 'abc' },
      hint: '',
    })
    const [header] = token.split('.')
    expect(JSON.parse(Buffer.from(header!, 'base64url').toString())).toEqual({ alg: 'ES256', kid: 'es256', typ: 'JWT' })
  })

  it.each([
    ['ES256', 'es256'],
    ['ES384', 'es384'],
    ['ES512', 'es512'],
    ['RS256', 'rsa'],
    ['RS384', 'rsa'],
    ['RS512', 'rsa'],
    ['PS256', 'rsa'],
    ['PS384', 'rsa'],
    ['PS512', 'rsa'],
  ] as const)('%s, as jose signs it', async (alg, kid) => {
    expect(verdict(await joseToken({ alg, kid }))).toBe('accepted')
  })

  it('a token without a kid, where one key fits its algorithm', async () => {
    // Its key is known all the same, so that a revoked one can be told.
    expect(verifyJwtSvid(await joseToken({ alg: 'ES256' }), rules).keyId).toBe('es256')
    const twins = [es256, other].map(({ publicKey }, index) => ({ keyId: String(index), publicKey }))
    const two = bundleSet(createBundle({ trustDomain: 'example.org', jwtAuthorities: twins }))
    expect(verdict(await joseToken({ alg: 'ES256' }), { bundles: two })).toMatch('no key of the trust domain')
  })

  it.each([[undefined], ['JWT'], ['JOSE']])('the type %s', async (typ) => {
    expect(verdict(await joseToken({ alg: 'ES256', kid: 'es256', ...(typ && { typ }) }))).toBe('accepted')
  })

  it('one of several audiences, and a receiver with several names', () => {
    const token = signJwtSvid({ ...good, audience: ['billing', 'stock'] })
    expect(verdict(token)).toBe('accepted')
    expect(verdict(token, { audience: ['warehouse', 'stock'] })).toBe('accepted')
  })

  it('clocks that differ by the leeway', () => {
    const token = signJwtSvid(good)
    expect(verdict(token, { now: now + 309 })).toBe('accepted')
    expect(verdict(token, { now: now - 10 })).toBe('accepted')
    expect(verdict(token, { now: now + 310 })).toMatch('expired')
    expect(verdict(token, { now: now - 11 })).toMatch('valid only in 11 seconds')
    expect(verdict(token, { now: now + 300, leewaySeconds: 0 })).toMatch('expired')
    expect(() => verifyJwtSvid(token, { ...rules, leewaySeconds: 61 })).toThrow(RangeError)
  })
})

describe('verifyJwtSvid refuses', () => {
  it('a key of another trust domain, also one with the same kid', () => {
    expect(verdict(signJwtSvid({ ...good, key: other.privateKey }))).toMatch('signature does not verify')
    const foreign = signJwtSvid({ ...good, id: spiffeId('third.org', '/a') })
    expect(verdict(foreign)).toMatch('no bundle of the trust domain "third.org"')
    const otherOrg = signJwtSvid({ ...good, id: spiffeId('other.org', '/a') })
    expect(verdict(otherOrg)).toMatch('signature does not verify')
    expect(verdict(otherOrg, { bundles: { get: () => bundles.get('example.org') } })).toMatch('no bundle')
  })

  it('a kid that the bundle does not have', () => {
    expect(verdict(signJwtSvid({ ...good, kid: '__proto__' }))).toMatch('no key of the trust domain')
  })

  it('an audience that is another, a prefix, or spelled otherwise', () => {
    for (const audience of ['billing', 'stoc', 'stock/', 'Stock', 'stock,billing']) {
      expect(verdict(signJwtSvid({ ...good, audience: [audience] }))).toMatch('not for this receiver')
    }
    expect(verdict(signJwtSvid(good), { audience: [] })).toMatch('not for this receiver')
  })

  it.each([
    ['no subject', { sub: undefined }],
    ['a subject that is no text', { sub: 1 }],
    ['a subject that is no SPIFFE ID', { sub: 'orders' }],
    ['the trust domain as subject', { sub: 'spiffe://example.org' }],
    ['no audience', { aud: undefined }],
    ['an empty audience', { aud: [] }],
    ['an audience of empty text', { aud: '' }],
    ['an audience that is no text', { aud: ['stock', 1] }],
    ['no expiry', { exp: undefined }],
    ['an expiry as text', { exp: String(now + 300) }],
    ['a negative expiry', { exp: -1 }],
    ['an expiry of null', { exp: null }],
    ['a time of issue that is none', { iat: 'now' }],
    ['a start that is none', { nbf: true }],
  ])('%s', (_what, changes) => {
    const token = sign({ ...claims, ...changes })
    expect(['invalid_svid', 'invalid_spiffe_id']).toContain(codeOf(() => verifyJwtSvid(token, rules)))
    expect(['invalid_svid', 'invalid_spiffe_id']).toContain(codeOf(() => parseJwtSvidUnverified(token)))
  })

  it('what begins later, by iat or nbf', () => {
    for (const later of [{ iat: now + 11 }, { nbf: now + 11 }]) {
      expect(codeOf(() => verifyJwtSvid(sign({ ...claims, ...later }), rules))).toBe('expired_svid')
    }
  })

  it.each([
    ['at+jwt', { typ: 'at+jwt' }],
    ['m2m+jwt', { typ: 'm2m+jwt' }],
    ['jwt in small letters', { typ: 'jwt' }],
    ['a key in the header', { jwk: {} }],
    ['an address of keys in the header', { jku: 'https://evil.example/keys' }],
    ['a certificate in the header', { x5c: [] }],
    ['a private header', { custom: 1 }],
    ['crit', { crit: ['exp'] }],
    ['b64', { b64: true }],
  ])('%s', (_what, header) => {
    expect(codeOf(() => verifyJwtSvid(signWithHeader(header), rules))).toBe('invalid_svid')
  })

  it('EdDSA, none, HMAC with the public key, and an algorithm that is not the key’s', async () => {
    const { privateKey } = generateKeyPairSync('ed25519')
    const eddsa = createSigner({ algorithm: 'EdDSA', kid: 'es256', key: privateKey, type: 'JWT' }).sign(claims)
    expect(verdict(eddsa)).toMatch('its algorithm is "EdDSA"')
    const input = (alg: string) =>
      [{ alg, kid: 'rsa' }, claims].map((part) => Buffer.from(JSON.stringify(part)).toString('base64url')).join('.')
    expect(verdict(`${input('none')}.AA`)).toMatch('its algorithm is "none"')
    expect(verdict(`${input('none')}.`)).toMatch('no signature')
    const pem = rsa.publicKey.export({ format: 'pem', type: 'spki' })
    const hmac = createHmac('sha256', pem).update(input('HS256')).digest('base64url')
    expect(verdict(`${input('HS256')}.${hmac}`)).toMatch('its algorithm is "HS256"')
    expect(verdict(await joseToken({ alg: 'ES384', kid: 'es384' }, { kid: 'es256' }))).toMatch('not for algorithm')
  })

  it('another serialization, other dots, and any changed character', () => {
    const token = signJwtSvid(good)
    const [protectedHeader, payload, signature] = token.split('.') as [string, string, string]
    for (const text of [
      JSON.stringify({ protected: protectedHeader, payload, signature }),
      `${token}.`,
      ` ${token}`,
      `${token}=`,
      '',
    ]) {
      expect(codeOf(() => verifyJwtSvid(text, rules))).toBe('invalid_svid')
    }
    for (let at = 0; at < token.length; at += 1) {
      const changed = token.slice(0, at) + (token[at] === 'A' ? 'B' : 'A') + token.slice(at + 1)
      expect(codeOf(() => verifyJwtSvid(changed, rules))).not.toBe('accepted')
    }
  })

  it('more than 16 KiB', () => {
    expect(codeOf(() => verifyJwtSvid(sign({ ...claims, padding: 'a'.repeat(16_384) }), rules))).toBe('invalid_svid')
  })
})

describe('parseJwtSvidUnverified', () => {
  it('reads a token that was just received, with its hint', () => {
    const token = createTestAuthority('example.org').jwtSvid('/orders', ['stock'])
    expect(parseJwtSvidUnverified(token, 'internal')).toMatchObject({ id, audience: ['stock'], hint: 'internal' })
  })
})

describe('signJwtSvid', () => {
  it.each([
    ['an empty list of audiences', { audience: [] }],
    ['an empty audience', { audience: [''] }],
    ['the ID of the trust domain', { id: spiffeId('example.org', '') }],
    ['an Ed25519 key', { key: generateKeyPairSync('ed25519').privateKey }],
    ['a public key', { key: createPublicKey(es256.privateKey) }],
    ['no time', { expiresAt: Number.NaN }],
    ['an end before its start', { expiresAt: now - 1 }],
  ])('refuses %s', (_what, changes) => {
    expect(codeOf(() => signJwtSvid({ ...good, ...changes }))).toBe('invalid_configuration')
  })

  it('signs with RSA as well', () => {
    expect(verdict(signJwtSvid({ ...good, key: rsa.privateKey, kid: 'rsa' }))).toBe('accepted')
  })
})

function sign(payload: object): string {
  return createSigner({ algorithm: 'ES256', kid: 'es256', key: es256.privateKey, type: 'JWT' }).sign(payload)
}

function signWithHeader(header: object): string {
  const part = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url')
  const input = `${part({ alg: 'ES256', kid: 'es256', ...header })}.${part(claims)}`
  return `${input}.${signP1363(input, es256.privateKey)}`
}

function signP1363(input: string, key: KeyObject): string {
  return signBytes('sha256', Buffer.from(input), { key, dsaEncoding: 'ieee-p1363' }).toString('base64url')
}

function joseToken(header: { alg: string; kid?: keyof typeof keys; typ?: string }, changes: object = {}) {
  const signer = header.kid ?? 'es256'
  return new SignJWT(claims).setProtectedHeader({ ...header, ...changes }).sign(keys[signer].privateKey)
}

function bundleSet(...all: Bundle[]): Map<string, Bundle> {
  return new Map(all.map((bundle) => [bundle.trustDomain, bundle]))
}
