import { createHash } from 'node:crypto'
import { quoted, TokenError } from '../token-error.ts'
import type { PublicJwk } from './public-jwk.ts'

const requiredMembers = new Map<unknown, readonly (keyof PublicJwk)[]>([
  ['EC', ['crv', 'kty', 'x', 'y']],
  ['OKP', ['crv', 'kty', 'x']],
  ['RSA', ['e', 'kty', 'n']],
])

// The keys that tokens are verified with are frozen, and every token asks for the name of one.
const ofFrozenKeys = new WeakMap<PublicJwk, string>()

/** The SHA-256 thumbprint of a key over its required public members (RFC 7638), base64url. Throws `invalid_key`. */
export function jwkThumbprint(jwk: PublicJwk): string {
  const known = ofFrozenKeys.get(jwk)
  if (known !== undefined) return known
  const thumbprint = compute(jwk)
  if (Object.isFrozen(jwk)) ofFrozenKeys.set(jwk, thumbprint)
  return thumbprint
}

function compute(jwk: PublicJwk): string {
  const names = requiredMembers.get(jwk.kty)
  if (names === undefined) throw new TokenError('invalid_key', `key type ${quoted(jwk.kty)} is not supported`, 'kty')
  const members = names.map((name) => {
    if (typeof jwk[name] !== 'string') throw new TokenError('invalid_key', `"${name}" is missing or not a string`, name)
    return `${JSON.stringify(name)}:${JSON.stringify(jwk[name])}`
  })
  return createHash('sha256')
    .update(`{${members.join(',')}}`)
    .digest('base64url')
}
