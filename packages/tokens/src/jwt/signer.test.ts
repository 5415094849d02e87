import { createPublicKey, generateKeyPairSync } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { generateSigningKey } from '../keys/generate-key.ts'
import { importPublicJwk } from '../keys/public-jwk.ts'
import { refusal } from '../refusal.fixture.ts'
import { parseJwt } from './parse-jwt.ts'
import { createSigner } from './signer.ts'
import { verifySignature } from './verify-signature.ts'

const ec = await generateSigningKey('ES256')

describe('createSigner', () => {
  it('writes alg, typ and kid and nothing else into the header', () => {
    const signer = createSigner({ algorithm: 'ES256', kid: 'k', key: ec.privateKey, type: 'at+jwt' })
    expect(parseJwt(signer.sign({})).header).toEqual({ alg: 'ES256', typ: 'at+jwt', kid: 'k' })
    expect(signer).toMatchObject({ algorithm: 'ES256', kid: 'k' })
    expect(parseJwt(createSigner({ algorithm: 'ES256', key: ec.privateKey }).sign({})).header).toEqual({ alg: 'ES256' })
  })

  it('signs serialised claims byte for byte', () => {
    const signer = createSigner({ algorithm: 'ES256', key: ec.privateKey })
    const text = '{ "b":1, "a":"\u00e9😂" }'
    const token = signer.sign(text)
    expect(Buffer.from(token.split('.')[1]!, 'base64url').toString()).toBe(text)
    verifySignature(parseJwt(token), importPublicJwk(ec.publicJwk), ['ES256'])
    expect(parseJwt(signer.sign(JSON.parse(text))).claims).toEqual(JSON.parse(text))
  })

  it('makes signatures of exactly 64 bytes, whatever zeros they start with', () => {
    const signer = createSigner({ algorithm: 'ES256', key: ec.privateKey })
    const key = importPublicJwk(ec.publicJwk)
    for (let round = 0; round < 600; round += 1) {
      const parsed = parseJwt(signer.sign({ round }))
      expect(parsed.signature.length).toBe(64)
      verifySignature(parsed, key, ['ES256'])
    }
  })

  it('refuses keys that do not fit the algorithm', () => {
    const p384 = generateKeyPairSync('ec', { namedCurve: 'P-384' }).privateKey
    const ed448 = generateKeyPairSync('ed448').privateKey
    expect(refusal(() => createSigner({ algorithm: 'ES256', key: p384 }))).toBe('invalid_key/alg')
    expect(refusal(() => createSigner({ algorithm: 'EdDSA', key: ed448 }))).toBe('invalid_key/alg')
    expect(refusal(() => createSigner({ algorithm: 'RS256', key: ec.privateKey }))).toBe('invalid_key/alg')
    expect(refusal(() => createSigner({ algorithm: 'EdDSA', key: ec.privateKey }))).toBe('invalid_key/alg')
    expect(refusal(() => createSigner({ algorithm: 'ES256', key: createPublicKey(ec.privateKey) }))).toBe('invalid_key')
  })

  it('refuses an RSA key of 1024 bits', () => {
    const small = generateKeyPairSync('rsa', { modulusLength: 1024 }).privateKey
    expect(refusal(() => createSigner({ algorithm: 'RS256', key: small }))).toBe('weak_key/n')
  })
})
