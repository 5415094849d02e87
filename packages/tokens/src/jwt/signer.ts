import { type KeyObject, sign } from 'node:crypto'
import type { SigningAlgorithm } from '../algorithms.ts'
import { signingAlgorithmOf } from '../keys/private-key.ts'
import { TokenError } from '../token-error.ts'
import { fromDer } from './ecdsa-signature.ts'

export interface Signer {
  readonly algorithm: SigningAlgorithm
  readonly kid?: string
  /** A compact JWT over the claims, given as an object or as JSON text that is already serialised. */
  sign(claims: object | string): string
}

export interface SignerOptions {
  algorithm: SigningAlgorithm
  kid?: string
  /** A private key that fits the algorithm. */
  key: KeyObject
  /** The `typ` header; left out when not given. */
  type?: string
}

/** A signer with one key and one header. Throws `invalid_key` or `weak_key` where the key does not fit. */
export function createSigner({ algorithm, kid, key, type }: SignerOptions): Signer {
  checkKey(key, algorithm)
  const header = Buffer.from(JSON.stringify({ alg: algorithm, typ: type, kid })).toString('base64url')
  const signBytes = byteSigner(algorithm, key)
  return {
    algorithm,
    ...(kid !== undefined && { kid }),
    sign(claims) {
      const json = typeof claims === 'string' ? claims : JSON.stringify(claims)
      const input = `${header}.${Buffer.from(json).toString('base64url')}`
      return `${input}.${signBytes(Buffer.from(input, 'latin1')).toString('base64url')}`
    },
  }
}

function byteSigner(algorithm: SigningAlgorithm, key: KeyObject): (input: Buffer) => Buffer {
  switch (algorithm) {
    case 'ES256':
      return (input) => fromDer(sign('sha256', input, key), 'P-256')
    case 'RS256':
      return (input) => sign('sha256', input, key)
    case 'EdDSA':
      return (input) => sign(null, input, key)
  }
}

function checkKey(key: KeyObject, algorithm: SigningAlgorithm): void {
  if (key.type !== 'private') throw new TokenError('invalid_key', 'signing takes a private key')
  if (signingAlgorithmOf(key) !== algorithm) {
    throw new TokenError('invalid_key', `the key does not fit algorithm ${algorithm}`, 'alg')
  }
  if (key.asymmetricKeyType === 'rsa' && (key.asymmetricKeyDetails?.modulusLength ?? 0) < 2048) {
    throw new TokenError('weak_key', 'the RSA key has less than 2048 bits', 'n')
  }
}
