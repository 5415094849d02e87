import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { decodeBase64url, encodeBase64url } from './base64url.ts'
import { refusal } from './refusal.fixture.ts'

describe('base64url', () => {
  it('gives back every byte string', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        expect(decodeBase64url(encodeBase64url(bytes))).toEqual(Buffer.from(bytes))
      }),
    )
  })

  it('encodes a view into a larger buffer, not the buffer', () => {
    expect(encodeBase64url(new Uint8Array([1, 2, 3, 4]).subarray(1, 3))).toBe('AgM')
  })

  it('accepts no second spelling of any bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 8 }), fc.string({ maxLength: 12, unit: 'binary' }), (bytes, text) => {
        if (text === encodeBase64url(bytes)) return
        if (refusal(() => decodeBase64url(text)) === 'accepted')
          expect(decodeBase64url(text)).not.toEqual(Buffer.from(bytes))
      }),
      { numRuns: 2000 },
    )
  })

  it('judges every character in every place as encoding again would', () => {
    const texts = ['', 'AA', 'AAA', 'AAAA', 'AAAAAA', 'AAAAAAA', 'AAAAAAAA']
    for (let code = 0; code < 0x300; code += 1) {
      for (const text of texts) {
        for (let place = 0; place < text.length; place += 1) {
          const tried = text.slice(0, place) + String.fromCharCode(code) + text.slice(place + 1)
          const canonical = Buffer.from(tried, 'base64url').toString('base64url') === tried
          expect(refusal(() => decodeBase64url(tried)) === 'accepted', JSON.stringify(tried)).toBe(canonical)
        }
      }
    }
  })

  it.each([
    ['padding', 'AQ=='],
    ['the standard alphabet', '-_-_'.replaceAll('-', '+').replaceAll('_', '/')],
    ['a space', 'AQ ID'],
    ['a line break', 'AQID\n'],
    ['stray bits in the last character', 'AR'],
    ['stray bits after two bytes', 'AQJ'],
    ['a length that no bytes have', 'AQIDA'],
    ['a character beyond ASCII', 'AQI\u0130'],
    ['a character whose low byte is a letter', '\u0141QID'],
  ])('refuses %s', (_, text) => {
    expect(refusal(() => decodeBase64url(text))).toBe('malformed_token')
  })
})
