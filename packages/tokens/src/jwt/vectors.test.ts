import { describe, expect, it } from 'vitest'
import type { VerificationAlgorithm } from '../algorithms.ts'
import { parseJwks, selectKey } from '../keys/key-set.ts'
import { importPublicJwk } from '../keys/public-jwk.ts'
import { jwkThumbprint } from '../keys/thumbprint.ts'
import { TokenError } from '../token-error.ts'
import { parseJwt, splitJws } from './parse-jwt.ts'
import { readVectors } from './vectors.fixture.ts'
import { verifySignature } from './verify-signature.ts'

type VectorTest = [id: number, comment: string, result: 'valid' | 'invalid', value: string]
type SignatureTest = [id: number, comment: string, result: 'valid' | 'invalid', message: string, signature: string]

const every: VerificationAlgorithm[] = [
  ...(['ES256', 'ES384', 'ES512', 'EdDSA', 'Ed25519'] as const),
  ...(['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512'] as const),
]

function accepts(work: () => void): boolean {
  try {
    work()
    return true
  } catch (error) {
    expect(error).toHaveProperty('name', 'TokenError')
    return false
  }
}

describe('RFC 7515 and RFC 7519', () => {
  const key = importPublicJwk({
    kty: 'EC',
    crv: 'P-256',
    x: 'f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU',
    y: 'x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0',
  })
  const payload = 'eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ'
  const signature = 'DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q'

  it('verifies the ES256 example of RFC 7515 appendix A.3', () => {
    const parsed = parseJwt(`eyJhbGciOiJFUzI1NiJ9.${payload}.${signature}`)
    verifySignature(parsed, key, ['ES256'])
    expect(parsed.claims).toEqual({ iss: 'joe', exp: 1300819380, 'http://example.com/is_root': true })
  })

  it('refuses the unsecured JWT of RFC 7519 section 6.1', () => {
    expect(accepts(() => parseJwt(`eyJhbGciOiJub25lIn0.${payload}.`))).toBe(false)
  })

  it('does not know the HS256 of RFC 7515 appendix A.1', () => {
    const parsed = parseJwt(
      `eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.${payload}.dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk`,
    )
    expect(accepts(() => verifySignature(parsed, key, every))).toBe(false)
  })
})

describe('RFC 7520 and RFC 8037', () => {
  type Vector = { title: string; jwk: object; algorithm: VerificationAlgorithm; token: string }
  for (const { title, jwk, algorithm, token } of readVectors<Vector>('rfc7520-jws')) {
    it(`verifies "${title}" with ${algorithm}, and not with a bit changed`, () => {
      const parts = splitJws(token, 16_384)
      const key = importPublicJwk(jwk)
      verifySignature(parts, key, [algorithm])
      parts.signingInput[parts.signingInput.length - 1]! ^= 1
      expect(accepts(() => verifySignature(parts, key, [algorithm]))).toBe(false)
    })
  }
})

describe('RFC 7638 and RFC 8037 thumbprints', () => {
  it('computes the RSA thumbprint of RFC 7638 section 3.1', () => {
    const n =
      '0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw'
    const thumbprint = jwkThumbprint({ kty: 'RSA', n, e: 'AQAB', alg: 'RS256', kid: '2011-04-29' })
    expect(thumbprint).toBe('NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs')
  })

  it('computes the Ed25519 thumbprint of RFC 8037 appendix A.3', () => {
    const x = '11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo'
    expect(jwkThumbprint({ kty: 'OKP', crv: 'Ed25519', x })).toBe('kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k')
  })
})

describe('Wycheproof JWS', () => {
  type Group = { comment: string; jwk: { kid?: string; alg?: string }; tests: VectorTest[] }
  // Signed with PS384 or ES512 under keys that name PS256 and "ES521": one key has one algorithm, and exists.
  const stricterHere = new Set([346, 347, 350, 351])
  for (const group of readVectors<Group>('wycheproof-json-web-signature')) {
    it(`judges the ${group.tests.length} tokens of "${group.comment}" (${group.jwk.alg}) from ${group.tests[0]![0]}`, () => {
      for (const [id, comment, result, token] of group.tests) {
        const accepted = accepts(() => {
          const parts = splitJws(token, 16_384)
          const keys = [importPublicJwk(group.jwk)]
          verifySignature(parts, selectKey(keys, parts.header) ?? keys[0]!, every)
        })
        const wanted = result === 'valid' && !stricterHere.has(id)
        expect(accepted, `${id} ${comment}`).toBe(wanted)
      }
    })
  }
})

describe('Wycheproof JWK sets', () => {
  type Group = { comment: string; jwks: object; tests: VectorTest[] }
  for (const group of readVectors<Group>('wycheproof-json-web-key')) {
    it(`judges "${group.comment}": ${group.tests[0]![1]}`, () => {
      for (const [id, comment, result, token] of group.tests) {
        const accepted = accepts(() => {
          const parts = splitJws(token, 16_384)
          const key = selectKey(parseJwks(group.jwks), parts.header)
          if (key === undefined) throw new TokenError('unknown_key', 'left out of the set')
          verifySignature(parts, key, every)
        })
        expect(accepted, `${id} ${comment}`).toBe(result === 'valid')
      }
    })
  }
})

describe('Wycheproof signatures', () => {
  const curves = [
    ['secp256r1_sha256', 'P-256', 'ES256'],
    ['secp384r1_sha384', 'P-384', 'ES384'],
    ['secp521r1_sha512', 'P-521', 'ES512'],
  ] as const
  for (const [name, crv, algorithm] of curves) {
    it(`judges the ECDSA vectors of ${crv} as r||s`, () => {
      type Group = { uncompressed: string; tests: SignatureTest[] }
      for (const { uncompressed, tests } of readVectors<Group>(`wycheproof-ecdsa-${name}-p1363`)) {
        const point = Buffer.from(uncompressed, 'hex').subarray(1)
        const [x, y] = [point.subarray(0, point.length / 2), point.subarray(point.length / 2)]
        const key = importPublicJwk({ kty: 'EC', crv, x: x.toString('base64url'), y: y.toString('base64url') })
        judge(tests, key, algorithm)
      }
    })
  }

  it('judges the Ed25519 vectors', () => {
    for (const { pk, tests } of readVectors<{ pk: string; tests: SignatureTest[] }>('wycheproof-ed25519')) {
      const key = importPublicJwk({ kty: 'OKP', crv: 'Ed25519', x: Buffer.from(pk, 'hex').toString('base64url') })
      judge(tests, key, 'EdDSA')
    }
  })

  function judge(tests: SignatureTest[], key: ReturnType<typeof importPublicJwk>, algorithm: VerificationAlgorithm) {
    for (const [id, comment, result, message, signature] of tests) {
      const parts = {
        header: { alg: algorithm },
        signingInput: Buffer.from(message, 'hex'),
        signature: Buffer.from(signature, 'hex'),
      }
      const accepted = accepts(() => verifySignature(parts, key, [algorithm]))
      expect(accepted, `${id} ${comment}`).toBe(result === 'valid')
    }
  }
})
