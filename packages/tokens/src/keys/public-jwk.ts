import { createPublicKey, type KeyObject } from 'node:crypto'
import { algorithmsOfKind, type Curve, type KeyKind, type VerificationAlgorithm } from '../algorithms.ts'
import { decodeBase64url } from '../base64url.ts'
import { quoted, TokenError } from '../token-error.ts'
import { judgeEd25519Point } from './ed25519-point.ts'
import { hasRocaShape } from './roca.ts'

/** The public members of a JSON Web Key (RFC 7517) that this package reads and writes. */
export type PublicJwk = {
  kty: string
  kid?: string
  alg?: string
  use?: string
  crv?: string
  x?: string
  y?: string
  n?: string
  e?: string
}

/** A public key that passed every check, and what it may be used with. */
export interface VerificationKey {
  kid?: string
  /** Exactly `jwk.alg` where the key names one, else all that fit its type and curve. Ed25519 has two names. */
  algorithms: readonly VerificationAlgorithm[]
  key: KeyObject
  jwk: PublicJwk
}

/**
 * A verification key from a public JWK. Throws `invalid_key` for private or symmetric keys, unknown types and curves,
 * malformed members, `use` other than `sig`, `key_ops` without `verify`, and an `alg` that does not fit; `weak_key` for
 * RSA under 2048 bits or with an exponent that is even or under 65537, points off the curve, and Ed25519 keys of small
 * order. RFC 7517 section 4, RFC 7518 section 6, RFC 8037 section 2.
 */
export function importPublicJwk(jwk: unknown): VerificationKey {
  const members = readJwkMembers(jwk)
  refusePrivateMembers(members)
  checkPurpose(members)
  const { kind, required } = readPublicMembers(members)
  const algorithms = algorithmsFor(kind, members.alg)
  const kid = readKid(members.kid)
  const key = toKeyObject(required)
  return {
    ...(kid !== undefined && { kid }),
    algorithms,
    key,
    jwk: Object.freeze({
      ...required,
      ...(kid !== undefined && { kid }),
      ...(members.alg !== undefined && { alg: members.alg as string }),
      ...(members.use !== undefined && { use: 'sig' }),
    }),
  }
}

export function readJwkMembers(jwk: unknown): Record<string, unknown> {
  if (typeof jwk !== 'object' || jwk === null || Array.isArray(jwk)) throw invalid('a JWK is a JSON object')
  return jwk as Record<string, unknown>
}

const privateMembers = ['d', 'p', 'q', 'dp', 'dq', 'qi', 'oth', 'k', 'priv']

/** A private key where a public one is due has leaked: using it, or only ignoring it, would hide that. */
export function refusePrivateMembers(members: Record<string, unknown>): void {
  const found = privateMembers.find((name) => Object.hasOwn(members, name))
  if (found !== undefined) {
    throw invalid(
      `the JWK holds the private member "${found}"; publish only the public key, and replace this one`,
      found,
    )
  }
}

function checkPurpose(members: Record<string, unknown>): void {
  if (members.use !== undefined && members.use !== 'sig') throw invalid('the JWK is not for signatures', 'use')
  const operations = members.key_ops
  if (operations === undefined) return
  if (!Array.isArray(operations) || !operations.includes('verify')) {
    throw invalid('the key_ops of the JWK do not include "verify"', 'key_ops')
  }
}

function readPublicMembers(members: Record<string, unknown>): { kind: KeyKind; required: PublicJwk } {
  switch (members.kty) {
    case 'EC':
      return readEllipticCurve(members)
    case 'OKP':
      return readOctetKeyPair(members)
    case 'RSA':
      return readRsa(members)
    default:
      throw invalid(`key type ${quoted(members.kty)} is not supported; use EC, OKP or RSA`, 'kty')
  }
}

const coordinateBytes: Record<Curve, number> = { 'P-256': 32, 'P-384': 48, 'P-521': 66 }

function readEllipticCurve(members: Record<string, unknown>): { kind: KeyKind; required: PublicJwk } {
  const curve = members.crv
  if (curve !== 'P-256' && curve !== 'P-384' && curve !== 'P-521') throw unknownCurve(curve)
  for (const name of ['x', 'y']) {
    if (readBytes(members, name).length !== coordinateBytes[curve]) throw invalid(`"${name}" has a wrong length`, name)
  }
  return { kind: curve, required: { kty: 'EC', crv: curve, x: members.x as string, y: members.y as string } }
}

function readOctetKeyPair(members: Record<string, unknown>): { kind: KeyKind; required: PublicJwk } {
  if (members.crv !== 'Ed25519') throw unknownCurve(members.crv)
  const point = readBytes(members, 'x')
  if (point.length !== 32) throw invalid('"x" has a wrong length', 'x')
  const worth = judgeEd25519Point(point)
  if (worth === 'not_a_point') throw weak('the Ed25519 key is not a point of the curve', 'x')
  if (worth === 'small_order') throw weak('the Ed25519 key is a point of small order', 'x')
  return { kind: 'Ed25519', required: { kty: 'OKP', crv: 'Ed25519', x: members.x as string } }
}

function readRsa(members: Record<string, unknown>): { kind: KeyKind; required: PublicJwk } {
  const modulus = readBytes(members, 'n')
  const exponent = readBytes(members, 'e')
  // RFC 7518 section 6.3.1: as few octets as the number needs.
  if (modulus[0] === 0 || modulus.length === 0) throw invalid('"n" is empty or starts with a zero byte', 'n')
  if (exponent[0] === 0 || exponent.length === 0) throw invalid('"e" is empty or starts with a zero byte', 'e')
  const bits = modulus.length * 8 - (Math.clz32(modulus[0]!) - 24)
  if (bits < 2048) throw weak(`the RSA key has ${bits} bits; use at least 2048`, 'n')
  if (bits > 8192) throw invalid(`the RSA key has ${bits} bits; at most 8192 are accepted`, 'n')
  if ((modulus.at(-1)! & 1) === 0) throw weak('the RSA modulus is even', 'n')
  if (hasRocaShape(modulus)) throw weak('the RSA key was made by a faulty library (CVE-2017-15361); replace it', 'n')
  if (exponent.length > 4) throw invalid('the RSA exponent is too large', 'e')
  const value = exponent.readUIntBE(0, exponent.length)
  if (value < 65537 || value % 2 === 0) throw weak('the RSA exponent is under 65537 or even', 'e')
  return { kind: 'RSA', required: { kty: 'RSA', n: members.n as string, e: members.e as string } }
}

function readBytes(members: Record<string, unknown>, name: string): Buffer {
  const text = members[name]
  if (typeof text !== 'string') throw invalid(`"${name}" is missing or not a string`, name)
  if (text.length > 1400) throw invalid(`"${name}" is too long`, name)
  try {
    return decodeBase64url(text)
  } catch {
    throw invalid(`"${name}" is not canonical base64url`, name)
  }
}

function algorithmsFor(kind: KeyKind, named: unknown): readonly VerificationAlgorithm[] {
  const fitting: readonly VerificationAlgorithm[] = algorithmsOfKind[kind]
  if (named === undefined) return fitting
  const algorithm = fitting.find((name) => name === named)
  if (algorithm === undefined) throw invalid(`alg ${quoted(named)} does not fit a ${kind} key`, 'alg')
  // RFC 9864 renamed EdDSA: one algorithm with two names, and libraries sign under either whatever the key says.
  return kind === 'Ed25519' ? fitting : [algorithm]
}

function readKid(kid: unknown): string | undefined {
  if (kid === undefined) return undefined
  if (typeof kid !== 'string' || kid === '' || kid.length > 1024) {
    throw invalid('"kid" is not a string of 1 to 1024 characters', 'kid')
  }
  return kid
}

function toKeyObject(jwk: PublicJwk): KeyObject {
  try {
    return createPublicKey({ key: jwk, format: 'jwk' })
  } catch {
    throw weak('the key is not a point of its curve', 'x')
  }
}

function unknownCurve(curve: unknown): TokenError {
  return invalid(`curve ${quoted(curve)} is not supported; use P-256, P-384, P-521 or Ed25519`, 'crv')
}

function invalid(message: string, part?: string): TokenError {
  return new TokenError('invalid_key', message, part)
}

function weak(message: string, part: string): TokenError {
  return new TokenError('weak_key', message, part)
}
