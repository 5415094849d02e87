import { decodeBase64url } from '../base64url.ts'
import { TokenError } from '../token-error.ts'
import { readJsonObject } from './json-object.ts'

/** A JOSE header (RFC 7515 section 4), frozen. Keys that it carries or points to are never used. */
export type JoseHeader = {
  readonly alg: string
  readonly kid?: string
  readonly typ?: string
  readonly [name: string]: unknown
}

// An issuer writes the same header on all its tokens, so reading it once is enough. Bounded in number and length;
// a flood of odd headers only makes others be read again.
const knownHeaders = new Map<string, JoseHeader>()
const maximumKnownHeaders = 256
const longestKnownHeader = 512

/** The header of a token from its base64url text. Throws `malformed_token`. */
export function readHeader(segment: string): JoseHeader {
  const known = knownHeaders.get(segment)
  if (known !== undefined) return known
  const header = checkHeader(readJsonObject(decodeBase64url(segment), 'the header'))
  if (segment.length <= longestKnownHeader) remember(segment, header)
  return header
}

function checkHeader(header: Record<string, unknown>): JoseHeader {
  const { alg, kid, typ } = header
  if (typeof alg !== 'string' || alg === '') throw malformed('the header names no algorithm', 'alg')
  if (kid !== undefined && (typeof kid !== 'string' || kid === '' || kid.length > 1024)) {
    throw malformed('the key id is not a string of 1 to 1024 characters', 'kid')
  }
  if (typ !== undefined && typeof typ !== 'string') throw malformed('the type is not a string', 'typ')
  // We know no critical extension, and RFC 7515 section 4.1.11 has us refuse those that we do not know.
  if (Object.hasOwn(header, 'crit')) throw malformed('the header demands extensions that are not supported', 'crit')
  // RFC 7797 section 7: unencoded payloads have no place in a JWT.
  if (Object.hasOwn(header, 'b64')) throw malformed('the header asks for an unencoded payload', 'b64')
  if (Object.hasOwn(header, 'enc')) throw malformed('the token is encrypted, not signed', 'enc')
  return header as JoseHeader
}

function remember(segment: string, header: JoseHeader): void {
  if (knownHeaders.size >= maximumKnownHeaders) {
    for (const oldest of knownHeaders.keys()) {
      knownHeaders.delete(oldest)
      break
    }
  }
  // A copy: V8's slice would keep the whole token alive.
  knownHeaders.set(Buffer.from(segment, 'latin1').toString('latin1'), deepFreeze(header))
}

function deepFreeze<T>(value: T): T {
  if (typeof value === 'object' && value !== null && !Object.isFrozen(value)) {
    Object.freeze(value)
    for (const member of Object.values(value)) deepFreeze(member)
  }
  return value
}

function malformed(message: string, part: string): TokenError {
  return new TokenError('malformed_token', message, part)
}
