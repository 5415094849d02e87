import { quoted, TokenError } from '../token-error.ts'
import { importPublicJwk, refusePrivateMembers, type VerificationKey } from './public-jwk.ts'
import { jwkThumbprint } from './thumbprint.ts'

/**
 * The usable keys of a JWK Set (RFC 7517 section 5). Keys of unknown type, for other uses, or too weak are left out.
 * Throws `invalid_key` for the whole set where it is no set, is too long, holds private members, names two keys with
 * one `kid`, or publishes one key for two algorithms (RFC 8725 section 3.1): then nothing in it can be relied on.
 */
export function parseJwks(document: unknown, limits: { maximumKeys?: number } = {}): VerificationKey[] {
  const entries = readEntries(document, limits.maximumKeys ?? 100)
  for (const entry of entries) if (hasKnownType(entry)) refusePrivateMembers(entry)
  const keys = entries.flatMap(importUsable)
  refuseRepeatedKid(keys)
  refuseTwoAlgorithms(keys)
  return keys
}

/**
 * The key that a token's header asks for: with a `kid` the key of exactly that name, whatever its algorithms (the
 * signature check compares those); without one the only key that fits `alg`, if there is exactly one.
 */
export function selectKey(
  keys: readonly VerificationKey[],
  header: { kid?: string; alg: string },
): VerificationKey | undefined {
  if (header.kid !== undefined) return keys.find((key) => key.kid === header.kid)
  const fitting = keys.filter((key) => (key.algorithms as readonly string[]).includes(header.alg))
  return fitting.length === 1 ? fitting[0] : undefined
}

function readEntries(document: unknown, maximumKeys: number): unknown[] {
  const entries = typeof document === 'object' && document !== null ? (document as { keys?: unknown }).keys : undefined
  if (!Array.isArray(entries)) throw invalid('a JWK Set is an object whose "keys" is an array')
  if (entries.length > maximumKeys)
    throw invalid(`the JWK Set has ${entries.length} keys; at most ${maximumKeys} are read`)
  return entries
}

const knownTypes = ['RSA', 'EC', 'OKP', 'oct', 'AKP']

function hasKnownType(entry: unknown): entry is Record<string, unknown> {
  return typeof entry === 'object' && entry !== null && knownTypes.includes((entry as { kty: string }).kty)
}

function importUsable(entry: unknown): VerificationKey[] {
  try {
    return [importPublicJwk(entry)]
  } catch {
    return []
  }
}

function refuseRepeatedKid(keys: readonly VerificationKey[]): void {
  const seen = new Set<string>()
  for (const { kid } of keys) {
    if (kid === undefined) continue
    if (seen.has(kid)) throw invalid(`two keys of the JWK Set have the kid ${quoted(kid)}`, 'kid')
    seen.add(kid)
  }
}

function refuseTwoAlgorithms(keys: readonly VerificationKey[]): void {
  const seen = new Map<string, string>()
  for (const { jwk, algorithms } of keys) {
    const thumbprint = jwkThumbprint(jwk)
    const known = seen.get(thumbprint)
    if (known !== undefined && known !== algorithms.join()) {
      throw invalid('one key of the JWK Set is published for different algorithms', 'alg')
    }
    seen.set(thumbprint, algorithms.join())
  }
}

function invalid(message: string, part?: string): TokenError {
  return new TokenError('invalid_key', message, part)
}
