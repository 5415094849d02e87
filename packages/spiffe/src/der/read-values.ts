import { type DerElement, DerError, tags } from './der-reader.ts'

/** TRUE is 0xff in DER, and FALSE 0x00 (X.690 section 11.1). */
export function readBoolean({ content }: DerElement): boolean {
  const [value] = content
  if (content.length !== 1 || (value !== 0 && value !== 0xff)) throw new DerError('a BOOLEAN is neither 00 nor ff')
  return value === 0xff
}

/** The big-endian two's complement bytes of an INTEGER in its shortest form (X.690 section 8.3.2). */
export function readInteger({ content }: DerElement): Buffer {
  if (content.length === 0) throw new DerError('an INTEGER is empty')
  const [first, second] = content as unknown as [number, number | undefined]
  if (second !== undefined && ((first === 0 && second < 0x80) || (first === 0xff && second >= 0x80))) {
    throw new DerError('an INTEGER is not in its shortest form')
  }
  return content
}

/** An INTEGER from 0 to `maximum`, which is below 2^31. */
export function readSmallInteger(element: DerElement, maximum: number): number {
  const bytes = readInteger(element)
  const value = bytes.length <= 4 ? bytes.readIntBE(0, bytes.length) : maximum + 1
  if (value < 0 || value > maximum) throw new DerError(`an INTEGER is not between 0 and ${maximum}`)
  return value
}

/** `1.2.840.113549` and so on (X.690 section 8.19). At most 64 bytes. */
export function readObjectIdentifier({ content }: DerElement): string {
  if (content.length === 0 || content.length > 64) throw new DerError('an OBJECT IDENTIFIER is empty or too long')
  const arcs: number[] = []
  let value = 0
  let isFirstByte = true
  for (const byte of content) {
    if (isFirstByte && byte === 0x80) throw new DerError('an OBJECT IDENTIFIER is not in its shortest form')
    value = value * 128 + (byte & 0x7f)
    if (!Number.isSafeInteger(value)) throw new DerError('an OBJECT IDENTIFIER has an arc that is too large')
    isFirstByte = (byte & 0x80) === 0
    if (!isFirstByte) continue
    if (arcs.length === 0) arcs.push(...firstArcs(value))
    else arcs.push(value)
    value = 0
  }
  if (!isFirstByte) throw new DerError('an OBJECT IDENTIFIER ends too early')
  return arcs.join('.')
}

function firstArcs(value: number): [number, number] {
  return value < 80 ? [Math.floor(value / 40), value % 40] : [2, value - 80]
}

/** A BIT STRING of whole bytes. */
export function readBytesOfBits({ content }: DerElement): Buffer {
  if (content.length === 0 || content[0] !== 0) throw new DerError('a BIT STRING is not made of whole bytes')
  return content.subarray(1)
}

/** The positions of the ones in a BIT STRING of named bits, which ends with a one (X.690 section 11.2.2). */
export function readNamedBits({ content }: DerElement): number[] {
  const [unused] = content
  const bytes = content.subarray(1)
  if (unused === undefined || unused > 7 || bytes.length > 4) throw new DerError('a BIT STRING of flags is malformed')
  const last = bytes.at(-1)
  if (last === undefined ? unused !== 0 : last === 0 || trailingZeros(last) !== unused) {
    throw new DerError('a BIT STRING of flags is not in its shortest form')
  }
  const positions: number[] = []
  for (const [index, byte] of bytes.entries()) {
    for (let bit = 0; bit < 8; bit += 1) if (byte & (0x80 >> bit)) positions.push(index * 8 + bit)
  }
  return positions
}

function trailingZeros(byte: number): number {
  return 31 - Math.clz32(byte & -byte)
}

/** Seconds since the epoch, from a time in whole seconds of UTC (RFC 5280 section 4.1.2.5). */
export function readTime({ tag, content }: DerElement): number {
  if (tag !== tags.utcTime && tag !== tags.generalizedTime) throw new DerError('a time is of an unknown type')
  const text = content.toString('latin1')
  const digits = tag === tags.utcTime ? 12 : 14
  if (!/^\d+Z$/.test(text) || text.length !== digits + 1) throw new DerError('a time is not in whole seconds of UTC')
  const rest = text.slice(digits - 10, digits)
  const [month, day, hour, minute, second] = [0, 2, 4, 6, 8].map((at) => Number(rest.slice(at, at + 2))) as FiveNumbers
  const date = new Date(0)
  date.setUTCFullYear(yearOf(text, tag), month - 1, day)
  date.setUTCHours(hour, minute, second)
  const isRead = date.getUTCMonth() === month - 1 && date.getUTCDate() === day && date.getUTCHours() === hour
  if (!isRead || minute > 59 || second > 59) throw new DerError('a time has a part that is out of range')
  return date.getTime() / 1000
}

type FiveNumbers = [number, number, number, number, number]

function yearOf(text: string, tag: number): number {
  if (tag === tags.generalizedTime) return Number(text.slice(0, 4))
  const year = Number(text.slice(0, 2))
  return year < 50 ? 2000 + year : 1900 + year
}

/** Text of 7-bit characters, none of them a control character: a NUL could end the text for others (CVE-2025-66220). */
export function readIa5Text(content: Buffer): string {
  const text = content.toString('latin1')
  if (!/^[\x20-\x7e]*$/.test(text)) throw new DerError('a name has characters that are not printable ASCII')
  return text
}
