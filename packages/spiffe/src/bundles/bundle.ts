import type { KeyObject } from 'node:crypto'
import { importPublicJwk, TokenError, type VerificationKey } from '@countersign/tokens'
import type { Certificate } from '../certificates/certificate.ts'
import { parseTrustDomain } from '../ids/spiffe-id.ts'
import { quoted, SpiffeError } from '../spiffe-error.ts'

/** What a trust domain publishes, so that others can verify its SVIDs (SPIFFE Trust Domain and Bundle, section 4). */
export interface Bundle {
  readonly trustDomain: string
  readonly x509Authorities: readonly Certificate[]
  /** By key id */
  readonly jwtAuthorities: ReadonlyMap<string, JwtAuthority>
  /** Grows with every change. Beyond 2^53 it is rounded, in order. */
  readonly sequenceNumber?: number
  /** How often to look for a new one */
  readonly refreshHintSeconds?: number
}

/** A key that JWT-SVIDs are signed with. */
export interface JwtAuthority {
  readonly keyId: string
  readonly publicKey: KeyObject
  readonly verificationKey: VerificationKey
  /** Seconds since the epoch, where it is known */
  readonly expiresAt?: number
}

/**
 * Bundles by trust domain, each used for the IDs of its own trust domain only; never merged. A Map of bundles is one.
 */
export interface BundleSet {
  get(trustDomain: string): Bundle | undefined
}

export interface BundleParts {
  readonly trustDomain: string
  readonly x509Authorities?: readonly Certificate[]
  readonly jwtAuthorities?: Iterable<JwtAuthorityParts>
  readonly sequenceNumber?: number
  readonly refreshHintSeconds?: number
}

export interface JwtAuthorityParts extends Pick<JwtAuthority, 'keyId' | 'publicKey' | 'expiresAt'> {
  /** The only algorithm that the key is for, where it names one */
  readonly algorithm?: string
}

/** Throws `invalid_bundle` for a repeated or empty key id, and for keys that no JWT-SVID may be signed with. */
export function createBundle(parts: BundleParts): Bundle {
  const { x509Authorities = [], jwtAuthorities = [], sequenceNumber, refreshHintSeconds } = parts
  const authorities = new Map<string, JwtAuthority>()
  for (const authority of jwtAuthorities) {
    const { keyId } = authority
    if (authorities.has(keyId)) throw invalid(`two keys have the id ${quoted(keyId)}`)
    authorities.set(keyId, createJwtAuthority(authority))
  }
  return Object.freeze({
    trustDomain: parseTrustDomain(parts.trustDomain),
    x509Authorities: Object.freeze([...x509Authorities]),
    jwtAuthorities: authorities,
    ...(sequenceNumber !== undefined && { sequenceNumber }),
    ...(refreshHintSeconds !== undefined && { refreshHintSeconds }),
  })
}

function createJwtAuthority({ keyId, publicKey, expiresAt, algorithm }: JwtAuthorityParts): JwtAuthority {
  if (keyId === '' || keyId.length > 1024) throw invalid('a key id does not have 1 to 1024 characters')
  // JWT-SVID section 2.1 knows RSA and ECDSA only.
  if (publicKey.asymmetricKeyType !== 'rsa' && publicKey.asymmetricKeyType !== 'ec') {
    throw invalid(`the key ${quoted(keyId)} is neither RSA nor EC, and no JWT-SVID may be signed with others`)
  }
  return Object.freeze({
    keyId,
    publicKey,
    verificationKey: readKey(keyId, publicKey, algorithm),
    ...(expiresAt !== undefined && { expiresAt }),
  })
}

function readKey(keyId: string, publicKey: KeyObject, algorithm: string | undefined): VerificationKey {
  try {
    return importPublicJwk({ ...publicKey.export({ format: 'jwk' }), kid: keyId, alg: algorithm })
  } catch (error) {
    if (!(error instanceof TokenError)) throw error
    throw invalid(`the key ${quoted(keyId)} cannot be used: ${error.message}`)
  }
}

function invalid(message: string): SpiffeError {
  return new SpiffeError('invalid_bundle', `the bundle is refused: ${message}`)
}
