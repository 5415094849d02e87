import type { Curve } from '../algorithms.ts'

// JWS carries ECDSA signatures as r||s (RFC 7518 section 3.4). Node can do that by itself (dsaEncoding 'ieee-p1363'),
// at about half the speed of its native DER, so the conversion is done here.

/** Group orders, big-endian (SEC 2): both halves of a signature lie in 1..order-1. */
const groupOrders: Record<Curve, Buffer> = {
  'P-256': Buffer.from('ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551', 'hex'),
  'P-384': Buffer.from(
    'ffffffffffffffffffffffffffffffffffffffffffffffffc7634d81f4372ddf581a0db248b0a77aecec196accc52973',
    'hex',
  ),
  'P-521': Buffer.from(
    '01fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffa51868783bf2f966b7fcc0148f709a5d03bb5c9b8899c47aebb6fb71e91386409',
    'hex',
  ),
}

/** r||s as DER, or undefined where r or s is zero or not below the group order, or the length is wrong. */
export function toDer(signature: Uint8Array, curve: Curve): Buffer | undefined {
  const order = groupOrders[curve]
  const size = order.length
  if (signature.length !== 2 * size) return undefined
  const rStart = leadingByte(signature, 0, order)
  const sStart = leadingByte(signature, size, order)
  if (rStart === -1 || sStart === -1) return undefined
  const rLength = integerLength(signature, rStart, size)
  const sLength = integerLength(signature, sStart, 2 * size)
  const content = 4 + rLength + sLength
  const der = Buffer.allocUnsafe(content + (content > 127 ? 3 : 2))
  let at = 0
  der[at++] = 0x30
  if (content > 127) der[at++] = 0x81
  der[at++] = content
  at = putInteger(der, at, signature, rStart, size, rLength)
  putInteger(der, at, signature, sStart, 2 * size, sLength)
  return der
}

/** The DER signature that node:crypto just made, as r||s of the curve's fixed size. */
export function fromDer(der: Uint8Array, curve: Curve): Buffer {
  const size = groupOrders[curve].length
  const out = Buffer.alloc(2 * size)
  // 30 LEN 02 LEN r 02 LEN s, where LEN is two bytes (81 xx) above 127.
  let at = der[1] === 0x81 ? 3 : 2
  for (const end of [size, 2 * size]) {
    const length = der[at + 1]!
    const next = at + 2 + length
    const start = next - Math.min(length, size)
    out.set(der.subarray(start, next), end - (next - start))
    at = next
  }
  return out
}

/** Where the number's first non-zero byte stands; -1 for zero and for a number that is not below the order. */
function leadingByte(bytes: Uint8Array, start: number, order: Uint8Array): number {
  const end = start + order.length
  let at = start
  while (at < end && bytes[at] === 0) at += 1
  if (at === end) return -1
  for (let index = 0; index < order.length; index += 1) {
    const difference = bytes[start + index]! - order[index]!
    if (difference < 0) return at
    if (difference > 0) return -1
  }
  return -1
}

function integerLength(bytes: Uint8Array, start: number, end: number): number {
  // A leading bit of one would read as negative: DER puts a zero byte before it.
  return end - start + (bytes[start]! >> 7)
}

function putInteger(der: Buffer, from: number, bytes: Uint8Array, start: number, end: number, length: number): number {
  let at = from
  der[at++] = 0x02
  der[at++] = length
  if (length > end - start) der[at++] = 0
  for (let index = start; index < end; index += 1) der[at++] = bytes[index]!
  return at
}
