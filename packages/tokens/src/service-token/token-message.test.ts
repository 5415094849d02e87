import { describe, expect, it } from 'vitest'
import { refusal } from '../refusal.fixture.ts'
import { parseTokenMessage } from './token-message.ts'

const parsed = (text: string) => refusal(() => parseTokenMessage(Buffer.from(text)))

describe('parseTokenMessage', () => {
  it('reads a JSON object from any view of bytes', () => {
    const bytes = new TextEncoder().encode('x{"a":[1,"é"],"M2MToken":"t"}x')
    expect(parseTokenMessage(bytes.subarray(1, -1))).toEqual({ a: [1, 'é'], M2MToken: 't' })
  })

  it.each([
    ['a list', '[{"M2MToken":"t"}]'],
    ['a text', '"t"'],
    ['null', 'null'],
    ['nothing', ''],
    ['no JSON', '{a:1}'],
    ['a member given twice', '{"total":1,"total":100}'],
    ['a member given twice, once in escapes', '{"total":1,"tot\\u0061l":100}'],
    ['a token given twice', '{"M2MToken":"a","M2MToken":"b"}'],
    ['an integer that no double holds', '{"id":9007199254740993}'],
    ['a number beyond every double', '{"id":1e999}'],
    ['a lone surrogate', '{"a":"\\ud800"}'],
    ['a prototype', '{"__proto__":{"admin":true}}'],
    ['a byte order mark', '\ufeff{}'],
    ['too deep nesting', `{"a":${'['.repeat(65)}${']'.repeat(65)}}`],
  ])('refuses %s', (_what, text) => {
    expect(parsed(text)).toBe('malformed_json')
  })

  it('refuses bytes that are no UTF-8, and more than it was told to read', () => {
    expect(refusal(() => parseTokenMessage(Buffer.from([0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d])))).toBe(
      'malformed_json',
    )
    const large = Buffer.from(JSON.stringify({ a: 'x'.repeat(1_048_576) }))
    expect(refusal(() => parseTokenMessage(large))).toBe('malformed_json')
    expect(refusal(() => parseTokenMessage(large, { maximumBytes: large.length }))).toBe('accepted')
  })
})
