import { generateKeyPairSync } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { refusal } from '../refusal.fixture.ts'
import { generateSigningKey } from './generate-key.ts'
import { importPrivateJwk, importPrivatePem, signingAlgorithmOf } from './private-key.ts'
import { jwkThumbprint } from './thumbprint.ts'

const pair = await generateSigningKey('ES256')
const privateJwk = pair.privateKey.export({ format: 'jwk' })
const other = (await generateSigningKey('ES256')).publicJwk

describe.each(['ES256', 'RS256', 'EdDSA'] as const)('a generated %s key', async (algorithm) => {
  const { kid, privateKey, publicJwk } = await generateSigningKey(algorithm)

  it('is named by its thumbprint and ready to be published', () => {
    expect(publicJwk).toMatchObject({ kid: jwkThumbprint(publicJwk), alg: algorithm, use: 'sig' })
    expect(kid).toBe(publicJwk.kid)
    for (const name of ['d', 'p', 'q', 'k']) expect(publicJwk).not.toHaveProperty(name)
  })

  it('comes back from PKCS#8 PEM, also with its line breaks spelled out, and in quotes', () => {
    const pem = privateKey.export({ type: 'pkcs8', format: 'pem' }) as string
    const spelled = pem.replaceAll('\n', '\\n')
    for (const text of [pem, spelled, `"${spelled}"`, `'${spelled}'`]) {
      const { key, publicJwk: read } = importPrivatePem(text)
      expect(jwkThumbprint(read)).toBe(kid)
      expect(key.equals(privateKey)).toBe(true)
      expect(signingAlgorithmOf(key)).toBe(algorithm)
    }
  })

  it('comes back from a JWK with its kid and alg, without private members', () => {
    const { key, publicJwk: read } = importPrivateJwk({
      ...privateKey.export({ format: 'jwk' }),
      kid: 'mine',
      alg: algorithm,
    })
    expect(key.equals(privateKey)).toBe(true)
    expect(read).toMatchObject({ kid: 'mine', alg: algorithm })
    expect(read).not.toHaveProperty('d')
  })
})

describe('importPrivateJwk', () => {
  it('refuses public members that belong to another private key', () => {
    expect(refusal(() => importPrivateJwk({ ...privateJwk, x: other.x, y: other.y }))).toBe('invalid_key')
    const [ed, ed2] = [generateKeyPairSync('ed25519'), generateKeyPairSync('ed25519')].map((keys) =>
      keys.privateKey.export({ format: 'jwk' }),
    )
    expect(refusal(() => importPrivateJwk({ ...ed, x: ed2!.x }))).toBe('invalid_key')
  })

  it('refuses public keys, symmetric keys and keys that may not sign', () => {
    expect(refusal(() => importPrivateJwk(pair.publicJwk))).toBe('invalid_key')
    expect(refusal(() => importPrivateJwk({ kty: 'oct', k: 'AAAA', d: 'AAAA' }))).toBe('invalid_key/kty')
    expect(refusal(() => importPrivateJwk({ ...privateJwk, key_ops: ['verify'] }))).toBe('invalid_key')
    expect(refusal(() => importPrivateJwk(null))).toBe('invalid_key')
  })

  it('accepts key_ops of a private key', () => {
    expect(refusal(() => importPrivateJwk({ ...privateJwk, key_ops: ['sign'] }))).toBe('accepted')
  })
})

describe('importPrivatePem', () => {
  it('refuses public keys, encrypted keys, other kinds of key and rubbish, quoting nothing', () => {
    const encrypted = pair.privateKey.export({ type: 'pkcs8', format: 'pem', cipher: 'aes-256-cbc', passphrase: 'p' })
    const x25519 = generateKeyPairSync('x25519').privateKey.export({ type: 'pkcs8', format: 'pem' })
    for (const pem of [encrypted, x25519, 'canary', '-----BEGIN PRIVATE KEY-----\ncanary\n-----END PRIVATE KEY-----']) {
      expect(refusal(() => importPrivatePem(pem as string))).toMatch('invalid_key')
      expect(() => importPrivatePem(pem as string)).toThrow(
        expect.not.objectContaining({ message: expect.stringContaining('canary') }),
      )
    }
  })

  it('refuses RSA keys of 1024 bits', () => {
    const small = generateKeyPairSync('rsa', { modulusLength: 1024 }).privateKey
    expect(refusal(() => importPrivatePem(small.export({ type: 'pkcs8', format: 'pem' }) as string))).toBe('weak_key/n')
  })
})
