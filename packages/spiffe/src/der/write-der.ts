import { tags } from './der-reader.ts'

/** An element of DER around its content. */
export function element(tag: number, ...contents: readonly Uint8Array[]): Buffer {
  let length = 0
  for (const content of contents) length += content.length
  const lengthBytes = length < 0x80 ? 0 : length < 0x100 ? 1 : length < 0x10000 ? 2 : 3
  const der = Buffer.allocUnsafe(2 + lengthBytes + length)
  der[0] = tag
  der[1] = lengthBytes === 0 ? length : 0x80 | lengthBytes
  if (lengthBytes > 0) der.writeUIntBE(length, 2, lengthBytes)
  let at = 2 + lengthBytes
  for (const content of contents) {
    der.set(content, at)
    at += content.length
  }
  return der
}

export function sequence(...elements: readonly Uint8Array[]): Buffer {
  return element(tags.sequence, ...elements)
}

export function boolean(value: boolean): Buffer {
  return Buffer.from([tags.boolean, 1, value ? 0xff : 0])
}

/** An INTEGER that is not negative, from its big-endian bytes. */
export function integer(bytes: Uint8Array): Buffer {
  let start = 0
  while (start < bytes.length - 1 && bytes[start] === 0) start += 1
  const shortest = bytes.subarray(start)
  if (shortest.length === 0) return Buffer.from([tags.integer, 1, 0])
  return shortest[0]! >= 0x80 ? element(tags.integer, Buffer.from([0]), shortest) : element(tags.integer, shortest)
}

export function octetString(content: Uint8Array): Buffer {
  return element(tags.octetString, content)
}

/** A BIT STRING of whole bytes. */
export function bitString(content: Uint8Array): Buffer {
  return element(tags.bitString, noUnusedBits, content)
}

const noUnusedBits = Buffer.from([0])

/** A BIT STRING with ones at these positions, and none behind the last. */
export function namedBits(positions: readonly number[]): Buffer {
  const last = Math.max(...positions)
  const bytes = Buffer.alloc(Math.floor(last / 8) + 1)
  for (const position of positions) bytes[position >> 3]! |= 0x80 >> (position & 7)
  return element(tags.bitString, Buffer.from([7 - (last % 8)]), bytes)
}

export function objectIdentifier(dotted: string): Buffer {
  const [first, second, ...rest] = dotted.split('.').map(Number) as [number, number, ...number[]]
  return element(tags.objectIdentifier, Buffer.from([first * 40 + second, ...rest].flatMap(base128)))
}

export function utf8String(text: string): Buffer {
  return element(tags.utf8String, Buffer.from(text))
}

export function printableString(text: string): Buffer {
  return element(tags.printableString, Buffer.from(text, 'latin1'))
}

/** UTCTime up to 2049, GeneralizedTime from then on (RFC 5280 section 4.1.2.5). */
export function time(secondsSinceEpoch: number): Buffer {
  const text = new Date(secondsSinceEpoch * 1000).toISOString()
  const year = text.slice(0, 4)
  const rest = text.slice(5, 7) + text.slice(8, 10) + text.slice(11, 13) + text.slice(14, 16) + text.slice(17, 19)
  return year >= '1950' && year < '2050'
    ? element(tags.utcTime, Buffer.from(`${year.slice(2)}${rest}Z`, 'latin1'))
    : element(tags.generalizedTime, Buffer.from(`${year}${rest}Z`, 'latin1'))
}

function base128(value: number): number[] {
  const bytes = [value % 128]
  for (let rest = Math.floor(value / 128); rest > 0; rest = Math.floor(rest / 128)) bytes.unshift(0x80 | (rest % 128))
  return bytes
}
