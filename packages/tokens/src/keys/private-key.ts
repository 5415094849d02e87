import { createPrivateKey, createPublicKey, type KeyObject, sign, verify } from 'node:crypto'
import type { SigningAlgorithm } from '../algorithms.ts'
import { TokenError } from '../token-error.ts'
import { importPublicJwk, type PublicJwk, readJwkMembers } from './public-jwk.ts'

/** A private key and the public half that verifiers get. */
export interface PrivateKey {
  key: KeyObject
  publicJwk: PublicJwk
}

/**
 * A private key from a JWK with its `kid` and `alg` kept in `publicJwk`. Throws `invalid_key` where the public members
 * are not those of the private ones, and what `importPublicJwk` throws.
 */
export function importPrivateJwk(jwk: unknown): PrivateKey {
  const members = readJwkMembers(jwk)
  if (typeof members.d !== 'string') throw invalid('the JWK has no private member "d"')
  if (members.key_ops !== undefined && !(Array.isArray(members.key_ops) && members.key_ops.includes('sign'))) {
    throw invalid('the key_ops of the JWK do not include "sign"')
  }
  const { kid, alg, use, kty, crv, x, y, n, e } = members
  const given = importPublicJwk(withoutUndefined({ kty, crv, x, y, n, e, kid, alg, use }))
  const key = load(() => createPrivateKey({ key: members as Record<string, string>, format: 'jwk' }))
  const probe = Buffer.from('countersign')
  const digest = kty === 'OKP' ? null : 'sha256'
  if (!signs(key, given.key, probe, digest))
    throw invalid('the public members of the JWK belong to another private key')
  return { key, publicJwk: given.jwk }
}

/**
 * A private key from PEM (PKCS#8, SEC 1 or PKCS#1, not encrypted). As in environment files, `\n` may be spelled out, and
 * the whole be quoted: docker's --env-file keeps the quotes that shells and others take away.
 */
export function importPrivatePem(pem: string): PrivateKey {
  const key = load(() => createPrivateKey(unquoted(pem.trim()).replaceAll('\\n', '\n')))
  const exported = load(() => createPublicKey(key).export({ format: 'jwk' }))
  return { key, publicJwk: importPublicJwk(exported).jwk }
}

/** The algorithm that our signers use with this private key; undefined for a key of another kind. */
export function signingAlgorithmOf(key: KeyObject): SigningAlgorithm | undefined {
  if (key.asymmetricKeyType === 'rsa') return 'RS256'
  if (key.asymmetricKeyType === 'ed25519') return 'EdDSA'
  return key.asymmetricKeyType === 'ec' && key.asymmetricKeyDetails?.namedCurve === 'prime256v1' ? 'ES256' : undefined
}

function signs(privateKey: KeyObject, publicKey: KeyObject, message: Buffer, digest: string | null): boolean {
  try {
    return verify(digest, message, publicKey, sign(digest, message, privateKey))
  } catch {
    return false
  }
}

function unquoted(text: string): string {
  const [first] = text
  return (first === '"' || first === "'") && text.length > 1 && text.at(-1) === first ? text.slice(1, -1) : text
}

function load<T>(loader: () => T): T {
  try {
    return loader()
  } catch {
    // OpenSSL's messages are about its decoders, and could one day quote the input.
    throw invalid(
      'the private key cannot be read; give an unencrypted EC, RSA or Ed25519 key as PKCS#8 PEM or as a JWK',
    )
  }
}

function withoutUndefined(members: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(members).filter(([, value]) => value !== undefined))
}

function invalid(message: string): TokenError {
  return new TokenError('invalid_key', message)
}
