import { createHmac, createPublicKey, generateKeyPairSync, sign } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import type { VerificationAlgorithm } from '../algorithms.ts'
import { generateSigningKey } from '../keys/generate-key.ts'
import { parseJwks, selectKey } from '../keys/key-set.ts'
import { importPublicJwk, type PublicJwk } from '../keys/public-jwk.ts'
import { compact, refusal } from '../refusal.fixture.ts'
import { fromDer } from './ecdsa-signature.ts'
import { parseJwt } from './parse-jwt.ts'
import { createSigner } from './signer.ts'
import { verifySignature } from './verify-signature.ts'

const [ec, rsa, ed] = await Promise.all([
  generateSigningKey('ES256'),
  generateSigningKey('RS256'),
  generateSigningKey('EdDSA'),
])
const claims = { sub: 'svc-a' }
const every: VerificationAlgorithm[] = ['ES256', 'ES384', 'ES512', 'EdDSA', 'Ed25519', 'RS256', 'RS512', 'PS256']

function verdict(token: string, jwk: unknown, allowed = every) {
  return refusal(() => verifySignature(parseJwt(token), importPublicJwk(jwk), allowed))
}

/** A token of the header, signed by `signBytes`. */
function forged(header: object, signBytes: (input: Buffer) => Uint8Array): string {
  const unsigned = compact(header, claims).split('.').slice(0, 2).join('.')
  return `${unsigned}.${Buffer.from(signBytes(Buffer.from(unsigned))).toString('base64url')}`
}

describe.each([ec, rsa, ed])('a token signed with $algorithm', ({ algorithm, kid, privateKey, publicJwk }) => {
  const token = createSigner({ algorithm, kid, key: privateKey, type: 'at+jwt' }).sign(claims)

  it('verifies with its key, where its algorithm is allowed', () => {
    expect(verdict(token, publicJwk)).toBe('accepted')
    expect(verdict(token, publicJwk, [algorithm])).toBe('accepted')
  })

  it('is refused where its algorithm is not allowed', () => {
    expect(verdict(token, publicJwk, [])).toBe('unsupported_algorithm/alg')
    expect(verdict(token, publicJwk, ['ES512', 'PS256'])).toBe('unsupported_algorithm/alg')
  })

  it('is refused with any one bit of it changed', () => {
    const parsed = parseJwt(token)
    const key = importPublicJwk(publicJwk)
    for (const part of [parsed.signingInput, parsed.signature]) {
      for (let bit = 0; bit < part.length * 8; bit += 37) {
        part[bit >> 3]! ^= 1 << (bit & 7)
        expect(refusal(() => verifySignature(parsed, key, every))).toBe('invalid_signature')
        part[bit >> 3]! ^= 1 << (bit & 7)
      }
    }
    expect(refusal(() => verifySignature(parsed, key, every))).toBe('accepted')
  })

  it('is refused with another key of the same kind', async () => {
    const other = await generateSigningKey(algorithm)
    expect(verdict(token, other.publicJwk)).toBe('invalid_signature')
  })

  it('is refused with a signature cut short, lengthened or of zeros', () => {
    const parsed = parseJwt(token)
    const { signature } = parsed
    for (const bad of [
      signature.subarray(1),
      signature.subarray(0, -1),
      Buffer.concat([signature, Buffer.alloc(1)]),
      Buffer.concat([Buffer.alloc(1), signature]),
      Buffer.alloc(signature.length),
      Buffer.alloc(1),
    ]) {
      const attempt = { ...parsed, signature: bad }
      expect(refusal(() => verifySignature(attempt, importPublicJwk(publicJwk), every))).toBe('invalid_signature')
    }
  })
})

describe('verifySignature', () => {
  it('refuses none in every spelling, with or without a signature', () => {
    for (const alg of ['none', 'None', 'NONE', 'noNE', 'nonE', 'null', 'HS256', 'constructor', '__proto__', 'es256']) {
      for (const { publicJwk } of [ec, rsa, ed]) {
        const token = compact({ alg }, claims, Buffer.from([0]))
        expect(verdict(token, publicJwk, [...every, alg as 'ES256'])).toBe('unsupported_algorithm/alg')
      }
    }
  })

  it('refuses HMAC tokens keyed with the public key in any of its forms', () => {
    const { n: _, ...rest } = rsa.publicJwk
    const key = createPublicKey(rsa.privateKey)
    const pem = key.export({ type: 'spki', format: 'pem' })
    const keys = [
      pem,
      `\n${pem}`,
      ` ${pem}`,
      `\0${pem}`,
      key.export({ type: 'pkcs1', format: 'pem' }),
      key.export({ type: 'spki', format: 'der' }),
      JSON.stringify(rsa.publicJwk),
      JSON.stringify(rest),
      '',
    ]
    for (const [hash, alg] of [
      ['sha256', 'HS256'],
      ['sha512', 'HS512'],
    ] as const) {
      for (const secret of keys) {
        for (const kid of [rsa.kid, undefined]) {
          const token = forged({ alg, kid }, (input) => createHmac(hash, secret).update(input).digest())
          expect(verdict(token, rsa.publicJwk)).toBe('unsupported_algorithm/alg')
        }
      }
    }
  })

  it('finds no key for a missing or unknown kid, rather than an empty one', () => {
    const keys = parseJwks({ keys: [ec.publicJwk, { ...ec.publicJwk, kid: 'second' }] })
    for (const kid of [undefined, 'x', '__proto__', 'constructor', '../../dev/null', "' OR ''='"]) {
      expect(selectKey(keys, { alg: 'ES256', kid })).toBeUndefined()
    }
  })

  it('takes the algorithm from configuration and key, never from the token', () => {
    const asPss = forged({ alg: 'PS256' }, (input) =>
      sign('sha256', input, { key: rsa.privateKey, padding: 6, saltLength: 32 }),
    )
    expect(verdict(asPss, rsa.publicJwk, ['RS256', 'PS256'])).toBe('unsupported_algorithm/alg')
    const { alg: _, ...anyRsa } = rsa.publicJwk
    expect(verdict(asPss, anyRsa, ['RS256', 'PS256'])).toBe('accepted')
    expect(verdict(asPss, anyRsa, ['RS256'])).toBe('unsupported_algorithm/alg')
  })

  it('never uses a key that the token brings or points to', () => {
    const attacker = generateKeyPairSync('ec', { namedCurve: 'P-256' })
    const jwk = attacker.publicKey.export({ format: 'jwk' })
    const header = {
      alg: 'ES256',
      kid: ec.kid,
      jwk,
      jku: 'https://evil.example/jwks',
      x5u: 'https://evil.example',
      x5c: ['MIIB'],
    }
    const token = forged(header, (input) => fromDer(sign('sha256', input, attacker.privateKey), 'P-256'))
    expect(verdict(token, ec.publicJwk)).toBe('invalid_signature')
    const honest = forged(header, (input) => fromDer(sign('sha256', input, ec.privateKey), 'P-256'))
    expect(verdict(honest, ec.publicJwk)).toBe('accepted')
  })

  it('refuses an ECDSA signature of zeros, and one in DER (CVE-2022-21449)', () => {
    expect(
      verdict(
        forged({ alg: 'ES256' }, () => Buffer.alloc(64)),
        ec.publicJwk,
      ),
    ).toBe('invalid_signature')
    const der = forged({ alg: 'ES256' }, (input) => sign('sha256', input, ec.privateKey))
    expect(verdict(der, ec.publicJwk)).toBe('invalid_signature')
  })

  it('refuses a P-256 key for ES384 and ES512', () => {
    for (const [alg, hash] of [
      ['ES384', 'sha384'],
      ['ES512', 'sha512'],
    ] as const) {
      const token = forged({ alg }, (input) => fromDer(sign(hash, input, ec.privateKey), 'P-256'))
      const { alg: _, ...anyEc } = ec.publicJwk
      expect(verdict(token, anyEc)).toBe('unsupported_algorithm/alg')
    }
  })

  it('refuses an Ed25519 signature with S beyond the group order (CVE-2026-33895)', () => {
    const order = 2n ** 252n + 27742317777372353535851937790883648493n
    const token = forged({ alg: 'EdDSA' }, (input) => {
      const signature = sign(null, input, ed.privateKey)
      const s = BigInt(`0x${Buffer.from(signature.subarray(32)).reverse().toString('hex')}`)
      const malleable = Buffer.from((s + order).toString(16).padStart(64, '0'), 'hex').reverse()
      return Buffer.concat([signature.subarray(0, 32), malleable])
    })
    expect(verdict(token, ed.publicJwk)).toBe('invalid_signature')
  })

  it('accepts the name Ed25519 where the key says EdDSA, but only where that name is allowed', () => {
    const token = forged({ alg: 'Ed25519' }, (input) => sign(null, input, ed.privateKey))
    const { alg: _, ...open } = ed.publicJwk
    expect(verdict(token, open)).toBe('accepted')
    expect(verdict(token, { ...open, alg: 'Ed25519' })).toBe('accepted')
    expect(verdict(token, ed.publicJwk)).toBe('accepted')
    expect(verdict(token, ed.publicJwk, ['EdDSA'])).toBe('unsupported_algorithm/alg')
  })

  it('verifies every algorithm that it names', () => {
    const pairs = {
      'P-384': generateKeyPairSync('ec', { namedCurve: 'P-384' }),
      'P-521': generateKeyPairSync('ec', { namedCurve: 'P-521' }),
    }
    const cases: [VerificationAlgorithm, PublicJwk, (input: Buffer) => Uint8Array][] = [
      ['ES384', jwkOf('P-384'), (input) => fromDer(sign('sha384', input, pairs['P-384'].privateKey), 'P-384')],
      ['ES512', jwkOf('P-521'), (input) => fromDer(sign('sha512', input, pairs['P-521'].privateKey), 'P-521')],
      ['RS384', openRsa(), (input) => sign('sha384', input, rsa.privateKey)],
      ['RS512', openRsa(), (input) => sign('sha512', input, rsa.privateKey)],
      ['PS384', openRsa(), (input) => sign('sha384', input, { key: rsa.privateKey, padding: 6, saltLength: 48 })],
      ['PS512', openRsa(), (input) => sign('sha512', input, { key: rsa.privateKey, padding: 6, saltLength: 64 })],
    ]
    for (const [alg, jwk, signBytes] of cases)
      expect(verdict(forged({ alg }, signBytes), jwk, [alg]), alg).toBe('accepted')
    const wrongSalt = forged({ alg: 'PS256' }, (input) =>
      sign('sha256', input, { key: rsa.privateKey, padding: 6, saltLength: 0 }),
    )
    expect(verdict(wrongSalt, openRsa())).toBe('invalid_signature')

    function jwkOf(curve: keyof typeof pairs): PublicJwk {
      return pairs[curve].publicKey.export({ format: 'jwk' }) as PublicJwk
    }
    function openRsa(): PublicJwk {
      return { kty: 'RSA', n: rsa.publicJwk.n!, e: rsa.publicJwk.e! }
    }
  })
})
