import { TokenError } from './token-error.ts'

/** Bytes as base64url without padding (RFC 7515 section 2). */
export function encodeBase64url(bytes: Uint8Array): string {
  return asBuffer(bytes).toString('base64url')
}

/**
 * The bytes of canonical base64url text. Throws `malformed_token` for padding, whitespace, `+` and `/`, a length that
 * no bytes have, and stray bits in the last character: every byte string has exactly one accepted text, so that
 * a token cannot be respelled to slip past a replay list or a cache.
 */
export function decodeBase64url(text: string): Buffer {
  const bytes = Buffer.from(text, 'base64url')
  if (!isCanonical(text, bytes.length)) throw new TokenError('malformed_token', 'not canonical base64url')
  return bytes
}

/**
 * Node's decoder stops at `=` and skips what it does not know, so that too few bytes come out; it reads `+` and `/` as
 * `-` and `_`, and characters beyond one byte as their low byte. Cheaper than encoding again, on the way of every token.
 */
function isCanonical(text: string, byteCount: number): boolean {
  const { length } = text
  const rest = length % 4
  if (rest === 1 || byteCount !== (length * 3) >> 2) return false
  if (text.includes('+') || text.includes('/') || Buffer.byteLength(text) !== length) return false
  const last = text.charCodeAt(length - 1)
  return rest === 0 || (rest === 2 ? 'AQgw' : 'AEIMQUYcgkosw048').includes(String.fromCharCode(last))
}

function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}
