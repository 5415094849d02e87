import { generateKeyPair, type KeyObject } from 'node:crypto'
import { promisify } from 'node:util'
import type { SigningAlgorithm } from '../algorithms.ts'
import type { PublicJwk } from './public-jwk.ts'
import { jwkThumbprint } from './thumbprint.ts'

const generate = promisify(generateKeyPair)

export interface GeneratedKey {
  algorithm: SigningAlgorithm
  /** The key's RFC 7638 thumbprint. */
  kid: string
  privateKey: KeyObject
  /** With `kid`, `alg` and `use`, ready to be published. */
  publicJwk: PublicJwk
}

/** A new key pair: P-256 for ES256, RSA 2048 for RS256, Ed25519 for EdDSA. Made on the thread pool. */
export async function generateSigningKey(algorithm: SigningAlgorithm): Promise<GeneratedKey> {
  const { privateKey, publicKey } = await generatePair(algorithm)
  const { kty, crv, x, y, n, e } = publicKey.export({ format: 'jwk' }) as PublicJwk
  const required = kty === 'RSA' ? { kty, n, e } : kty === 'EC' ? { kty, crv, x, y } : { kty, crv, x }
  const kid = jwkThumbprint(required)
  return { algorithm, kid, privateKey, publicJwk: { ...required, kid, alg: algorithm, use: 'sig' } }
}

function generatePair(algorithm: SigningAlgorithm): Promise<{ privateKey: KeyObject; publicKey: KeyObject }> {
  switch (algorithm) {
    case 'ES256':
      return generate('ec', { namedCurve: 'P-256' })
    case 'RS256':
      return generate('rsa', { modulusLength: 2048 })
    case 'EdDSA':
      return generate('ed25519')
  }
}
