import { decodeBase64url } from '../base64url.ts'
import { TokenError } from '../token-error.ts'
import { type JoseHeader, readHeader } from './jose-header.ts'
import { readJsonObject } from './json-object.ts'

export type JwtClaims = { readonly [name: string]: unknown }

/** A JWT in parts, nothing of it verified yet. */
export interface ParsedJws {
  header: JoseHeader
  claims: JwtClaims
  signingInput: Buffer
  signature: Buffer
  token: string
}

/** A signed message in parts, whatever its payload is. */
export interface JwsParts extends Omit<ParsedJws, 'claims'> {
  payload: Buffer
}

/**
 * The parts of a signed JWT in compact serialization (RFC 7515 section 7.1, RFC 7519). Nothing is verified: call
 * `verifySignature` and a claims check before using any of it. `maximumLength` is in characters, default 16384.
 * Throws `malformed_token` for anything but exactly three parts of canonical base64url, a JSON object as header and as
 * claims, and a header without `crit` and `b64`; also for encrypted and unsigned tokens.
 */
export function parseJwt(token: string, limits: { maximumLength?: number } = {}): ParsedJws {
  const { header, payload, signingInput, signature } = splitJws(token, limits.maximumLength ?? 16_384)
  return { header, claims: readJsonObject(payload, 'the payload'), signingInput, signature, token }
}

export function splitJws(token: string, maximumLength: number): JwsParts {
  if (token.length > maximumLength) throw malformed('the token is too long')
  const headerEnd = token.indexOf('.')
  const payloadEnd = token.indexOf('.', headerEnd + 1)
  if (headerEnd === -1 || payloadEnd === -1 || token.indexOf('.', payloadEnd + 1) !== -1) {
    throw malformed('a signed token has exactly three parts, separated by dots')
  }
  if (payloadEnd === token.length - 1) throw malformed('the token has no signature')
  return {
    header: readHeader(token.slice(0, headerEnd)),
    payload: decodeBase64url(token.slice(headerEnd + 1, payloadEnd)),
    // All of it is base64url by now.
    signingInput: Buffer.from(token.slice(0, payloadEnd), 'latin1'),
    signature: decodeBase64url(token.slice(payloadEnd + 1)),
    token,
  }
}

function malformed(message: string): TokenError {
  return new TokenError('malformed_token', message)
}
