import { quoted, TokenError } from '../token-error.ts'

const shortName = /^[a-z0-9][a-z0-9-]{0,62}$/
const suffix = '-service'

/**
 * Whether the text is a service's short name, such as `order`. One that ends in `-service` is none: `order-service` is
 * the full name of `order`, and a name that could be read as either would let one service stand for two.
 */
export function isServiceShortName(name: string): boolean {
  return shortName.test(name) && !name.endsWith(suffix)
}

/**
 * The name that a service has in tokens: `order-service` for both `order` and `order-service`.
 * Throws `invalid_claim` with the part `sender` for what is no name.
 */
export function serviceName(name: string): string {
  return serviceShortName(name) + suffix
}

/** The short name, as `$service` in a JWKS_URL: `order` for both `order` and `order-service`. Throws as `serviceName`. */
export function serviceShortName(name: string): string {
  const short = name.endsWith(suffix) ? name.slice(0, -suffix.length) : name
  if (isServiceShortName(short)) return short
  const message = `${quoted(name)} is not a service's name: 1 to 63 of a-z, 0-9 and "-", as in "order" or "order-service"`
  throw new TokenError('invalid_claim', message, 'sender')
}
