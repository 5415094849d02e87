import { randomBytes } from 'node:crypto'

/** 20 random bytes, as many as RFC 5280 section 4.1.2.2 allows: positive, and without a zero in front. */
export function newSerialNumber(): Buffer {
  const bytes = randomBytes(20)
  // The sign bit off, the next one on.
  bytes[0] = (bytes[0]! & 0x3f) | 0x40
  return bytes
}
