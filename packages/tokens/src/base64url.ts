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
  // Node's decoder skips what it does not know; encoding again is the fastest complete check.
  if (bytes.toString('base64url') !== text) throw new TokenError('malformed_token', 'not canonical base64url')
  return bytes
}

function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}
