import { tags } from './der-reader.ts'

/** An element of DER around its content. */
export function element(tag: number, ...contents: readonly Uint8Array[]): Buffer {
  let length = 0
  for (const content of contents) length += content.length
  const header = lengthHeader(tag, length)
  return Buffer.concat([header, ...contents], header.length + length)
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
  const date = new Date(secondsSinceEpoch * 1000)
  const digits = date.toISOString().replace(/[-:T]|\.\d+Z$/g, '')
  const isShort = date.getUTCFullYear() >= 1950 && date.getUTCFullYear() < 2050
  return element(
    isShort ? tags.utcTime : tags.generalizedTime,
    Buffer.from(`${isShort ? digits.slice(2) : digits}Z`, 'latin1'),
  )
}

function lengthHeader(tag: number, length: number): Buffer {
  if (length < 0x80) return Buffer.from([tag, length])
  if (length < 0x100) return Buffer.from([tag, 0x81, length])
  if (length < 0x10000) return Buffer.from([tag, 0x82, length >> 8, length & 0xff])
  return Buffer.from([tag, 0x83, length >> 16, (length >> 8) & 0xff, length & 0xff])
}

function base128(value: number): number[] {
  const bytes = [value % 128]
  for (let rest = Math.floor(value / 128); rest > 0; rest = Math.floor(rest / 128)) bytes.unshift(0x80 | (rest % 128))
  return bytes
}
