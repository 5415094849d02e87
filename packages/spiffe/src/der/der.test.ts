import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { DerError, DerReader, readAll, readOnly, tags } from './der-reader.ts'
import {
  readBoolean,
  readInteger,
  readNamedBits,
  readObjectIdentifier,
  readSmallInteger,
  readTime,
} from './read-values.ts'
import { bitString, boolean, element, integer, namedBits, objectIdentifier, sequence, time } from './write-der.ts'

const bytes = (hex: string) => Buffer.from(hex.replaceAll(' ', ''), 'hex')
const next = (der: Buffer) => new DerReader(der, 'the test').next()

describe('DerReader', () => {
  it('reads back every element that is written, of any length', () => {
    const lengths = fc.oneof(fc.integer({ min: 0, max: 300 }), fc.constantFrom(127, 128, 255, 256, 65_535, 65_536))
    fc.assert(
      fc.property(lengths, (length) => {
        const content = Buffer.alloc(length, 0x5a)
        expect(readOnly(element(tags.octetString, content), tags.octetString, 'it').content).toEqual(content)
      }),
    )
  })

  it.each([
    ['30 80 00 00', 'an indefinite length'],
    ['30 81 05 01 02 03 04 05', 'a length in two bytes where one is enough'],
    ['30 82 00 80', 'a length with a zero byte before it'],
    ['30 84 00 00 00 01 00', 'a length in four bytes'],
    ['30 ff 00', 'a reserved length'],
    ['30 03 01', 'less content than it says'],
    ['30', 'no length'],
    ['30 82 01', 'half a length'],
    ['1f 81 01 00', 'a tag of several bytes'],
    ['', 'nothing'],
  ])('refuses %s: %s', (der) => {
    expect(() => next(bytes(der))).toThrow(DerError)
  })

  it('refuses bytes after the end, and another element than is due', () => {
    expect(() => readOnly(bytes('0500 00'), tags.null, 'it')).toThrow('it has bytes after its end')
    expect(() => readOnly(bytes('0500'), tags.sequence, 'it')).toThrow('it has an element 0x05 where 0x30 is due')
  })

  it('reads no more elements than it is told', () => {
    const many = Buffer.concat(Array.from({ length: 5 }, () => bytes('0500')))
    expect(readAll(many, 'it', 5)).toHaveLength(5)
    expect(() => readAll(many, 'it', 4)).toThrow('more than 4')
  })

  it('comes to an end on any bytes, with elements or a DerError', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 64 }), (noise) => {
        try {
          const elements = readAll(Buffer.from(noise), 'noise', 100)
          expect(Buffer.concat(elements.map(({ whole }) => whole))).toEqual(Buffer.from(noise))
        } catch (error) {
          expect(error).toBeInstanceOf(DerError)
        }
      }),
      { numRuns: 2000 },
    )
  })
})

describe('values', () => {
  it('reads back every number that is written', () => {
    fc.assert(
      fc.property(fc.bigInt({ min: 0n, max: 2n ** 160n }), (number) => {
        const hex = number.toString(16)
        const written = integer(bytes(hex.length % 2 === 0 ? hex : `0${hex}`))
        expect(BigInt(`0x${readInteger(next(written)).toString('hex')}`)).toBe(number)
      }),
    )
    expect(integer(Buffer.alloc(3))).toEqual(bytes('02 01 00'))
    expect(integer(Buffer.alloc(0))).toEqual(bytes('02 01 00'))
    expect(integer(bytes('00 80'))).toEqual(bytes('02 02 00 80'))
  })

  it.each(['02 00', '02 02 00 7f', '02 02 ff 80'])('refuses the INTEGER %s', (der) => {
    expect(() => readInteger(next(bytes(der)))).toThrow(DerError)
  })

  it('reads small numbers within their bounds', () => {
    expect(readSmallInteger(next(bytes('02 02 01 00')), 256)).toBe(256)
    for (const der of ['02 02 01 01', '02 01 ff', '02 05 01 00 00 00 00']) {
      expect(() => readSmallInteger(next(bytes(der)), 256)).toThrow('between 0 and 256')
    }
  })

  it('knows two booleans', () => {
    expect([true, false].map((value) => readBoolean(next(boolean(value))))).toEqual([true, false])
    for (const der of ['01 01 01', '01 00', '01 02 ff ff']) {
      expect(() => readBoolean(next(bytes(der)))).toThrow(DerError)
    }
  })

  it('reads back object identifiers', () => {
    for (const oid of ['1.2.840.113549.1.1.11', '2.5.29.17', '2.999.3', '0.9.2342.19200300.100.1.25', '1.3.6.1']) {
      expect(readObjectIdentifier(next(objectIdentifier(oid)))).toBe(oid)
    }
    expect(objectIdentifier('2.999.3')).toEqual(bytes('06 03 88 37 03'))
  })

  it.each([
    ['06 00', 'nothing'],
    ['06 02 2a 80', 'an arc without an end'],
    ['06 03 2a 80 01', 'an arc with a zero before it'],
    ['06 0b 2a ff ff ff ff ff ff ff ff ff 7f', 'an arc beyond 2^53'],
    [`06 41 ${'2a'.repeat(65)}`, 'more than 64 bytes'],
  ])('refuses the OBJECT IDENTIFIER %s: %s', (der) => {
    expect(() => readObjectIdentifier(next(bytes(der)))).toThrow(DerError)
  })

  it('reads back flags', () => {
    fc.assert(
      fc.property(fc.uniqueArray(fc.integer({ min: 0, max: 30 }), { minLength: 1 }), (positions) => {
        const sorted = positions.toSorted((a, b) => a - b)
        expect(readNamedBits(next(namedBits(positions)))).toEqual(sorted)
      }),
    )
    expect(readNamedBits(next(bytes('03 01 00')))).toEqual([])
  })

  it.each([
    ['03 02 00 80', 'unused bits that are not counted'],
    ['03 03 00 80 00', 'a zero byte at the end'],
    ['03 02 08 80', 'eight unused bits'],
    ['03 01 01', 'unused bits of nothing'],
    ['03 00', 'nothing'],
    ['03 06 00 01 01 01 01 01', 'more flags than anything has'],
  ])('refuses the flags %s: %s', (der) => {
    expect(() => readNamedBits(next(bytes(der)))).toThrow(DerError)
  })

  it('takes bit strings of whole bytes only', () => {
    expect(bitString(bytes('01 02'))).toEqual(bytes('03 03 00 01 02'))
  })

  it('reads back every second from 1950 to 9999', () => {
    const range = { min: -631_152_000, max: 253_402_300_799 }
    fc.assert(fc.property(fc.integer(range), (seconds) => readTime(next(time(seconds))) === seconds))
  })

  it('writes UTCTime up to 2049 and GeneralizedTime after it', () => {
    const seconds = (date: string) => Date.parse(date) / 1000
    expect(time(seconds('2049-12-31T23:59:59Z')).toString('latin1').slice(2)).toBe('491231235959Z')
    expect(time(seconds('2050-01-01T00:00:00Z')).toString('latin1').slice(2)).toBe('20500101000000Z')
  })

  it.each([
    '2701010000Z',
    '270101000000',
    '270101000000+0000',
    '270101000000.5Z',
    '271301000000Z',
    '270100000000Z',
    '270230000000Z',
    '270101240000Z',
    '270101006000Z',
    '270101000060Z',
    ' 70101000000Z',
    '2a0101000000Z',
  ])('refuses the UTCTime %j', (text) => {
    expect(() => readTime(next(element(tags.utcTime, Buffer.from(text))))).toThrow(DerError)
  })

  it('refuses a time of another type', () => {
    expect(() => readTime(next(sequence()))).toThrow('unknown type')
  })
})
