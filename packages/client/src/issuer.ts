import { ClientError } from './client-error.ts'

/**
 * Checks an address that the client's secret may be sent to, and parses it.
 * https, or http on a loopback host; plain http elsewhere only when the operator says so.
 * @throws ClientError `invalid_configuration`
 */
export function parseAuthorityUrl(text: unknown, option: string, allowInsecure: boolean): URL {
  if (typeof text !== 'string' || !URL.canParse(text)) {
    throw unusable(`${option} must be an absolute URL such as https://auth.example.com/`)
  }
  const url = new URL(text)
  if (url.username !== '' || url.password !== '') {
    throw unusable(`${option} must not hold a user name or password; give clientId and clientSecret instead`)
  }
  if (url.hash !== '' || text.includes('#')) throw unusable(`${option} must not have a fragment; cut it at the #`)
  if (url.protocol === 'https:') return url
  if (url.protocol === 'http:' && (allowInsecure || isLoopbackHost(url.hostname))) return url
  throw unusable(
    `${option} is ${url.protocol}//${url.host}, and the client's secret would cross the network in the clear; ` +
      'use https, or set allowInsecureIssuer: true where something else protects the connection',
  )
}

/** The issuer is an identifier too, so it may have no query either (RFC 8414 section 2). */
export function parseIssuer(text: unknown, allowInsecure: boolean): URL {
  const url = parseAuthorityUrl(text, 'issuer', allowInsecure)
  if (url.search !== '' || String(text).includes('?')) throw unusable('issuer must not have a query; cut it at the ?')
  return url
}

/** Where an issuer publishes its metadata: the path goes after the well-known part (RFC 8414 section 3.1). */
export function metadataUrl(issuer: URL): string {
  const path = issuer.pathname.replace(/\/$/, '')
  return `${issuer.origin}/.well-known/oauth-authorization-server${path}`
}

/** localhost, 127.0.0.0/8 and ::1, as the URL parser writes them. */
export function isLoopbackHost(hostname: string): boolean {
  return hostname === 'localhost' || hostname === '[::1]' || /^127\.\d+\.\d+\.\d+$/.test(hostname)
}

function unusable(message: string): ClientError {
  return new ClientError('invalid_configuration', message)
}
