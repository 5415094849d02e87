import type { ParsedJws } from '../jwt/parse-jwt.ts'
import { readText } from '../oauth/claim-checks.ts'
import { quoted, TokenError } from '../token-error.ts'
import { serviceShortName } from './service-name.ts'

/** RFC 9864 gave EdDSA with Ed25519 a name of its own; both are signed. */
export const edwardsAlgorithms = ['EdDSA', 'Ed25519'] as const
/** In characters. */
export const longestTenant = 255
/** In characters. */
export const longestJti = 128

export function checkEdwards({ header }: ParsedJws): void {
  if (header.alg === 'EdDSA' || header.alg === 'Ed25519') return
  throw new TokenError('unsupported_algorithm', `a service signs with EdDSA, not ${quoted(header.alg)}`, 'alg')
}

/** The short name in `sender`; `same` are the claims that must say exactly the same. */
export function readSender({ claims }: ParsedJws, same: readonly string[]): string {
  const { sender } = claims
  if (typeof sender !== 'string' || !sender.endsWith('-service')) {
    const message = `the sender is ${quoted(sender)}, not a full name such as "order-service"`
    throw new TokenError('invalid_claim', message, 'sender')
  }
  for (const name of same) {
    if (claims[name] !== sender) {
      throw new TokenError('wrong_issuer', `"${name}" is ${quoted(claims[name])}, the sender ${quoted(sender)}`, name)
    }
  }
  return serviceShortName(sender)
}

/** What is not checked elsewhere, as times and audience are, is there and of its type. */
export function checkServiceForm({ claims }: ParsedJws): void {
  readText(claims, 'jti', longestJti)
  if (claims.tenant !== undefined) readText(claims, 'tenant', longestTenant)
  if (typeof claims.req !== 'object' || claims.req === null || Array.isArray(claims.req)) {
    throw new TokenError('invalid_claim', '"req" is missing or not an object', 'req')
  }
}
