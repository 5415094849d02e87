import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { refusal } from '../refusal.fixture.ts'
import { parseJson } from './parse-json.ts'

const refused = (input: string | Buffer, limits?: Parameters<typeof parseJson>[1]) =>
  refusal(() => parseJson(input, limits))

describe('parseJson', () => {
  it('reads whatever JSON.stringify writes, as text and as bytes', () => {
    fc.assert(
      fc.property(fc.jsonValue({ maxDepth: 6 }), fc.constantFrom(undefined, 1, '\t'), (value, indent) => {
        const text = JSON.stringify(value, null, indent)
        if (text.includes('"__proto__"')) return
        expect(parseJson(text)).toEqual(JSON.parse(text))
        expect(parseJson(Buffer.from(text))).toEqual(JSON.parse(text))
      }),
      { numRuns: 500 },
    )
  })

  it('finds a repeated member in any object', () => {
    const member = fc.tuple(fc.string({ minLength: 1 }), fc.jsonValue({ maxDepth: 2 }))
    fc.assert(
      fc.property(fc.array(member, { maxLength: 5 }), member, fc.nat(), ([...members], extra, place) => {
        const text = (list: [string, unknown][]) =>
          `[0,{"outer":{${list.map(([name, value]) => `${JSON.stringify(name)} : ${JSON.stringify(value)}`)}}}]`
        const once = [...new Map([...members, extra])] as [string, unknown][]
        const twice = once.toSpliced(place % (once.length + 1), 0, extra)
        fc.pre(!text(twice).includes('__proto__'))
        expect(parseJson(text(once))).toBeDefined()
        expect(refused(text(twice))).toBe('malformed_json')
      }),
      { numRuns: 500 },
    )
  })

  it.each([
    ['at the top', '{"a":1,"a":1}'],
    ['spelled with an escape', '{"a":1,"\\u0061":2}'],
    ['with spaces before the colon', '{"a" :1,"a"\r\n\t:2}'],
    ['inside an array', '[[{"a":1,"a":2}]]'],
    ['whose values hold quotes and colons', '{"a":"\\":\\"","a":"x:y"}'],
    ['after an escaped backslash', '{"a":"\\\\","a":1}'],
    ['that is empty', '{"":1,"":2}'],
    ['called __proto__', '{"__proto__":1,"__proto__":2}'],
  ])('refuses a repeated member %s', (_, text) => {
    expect(refused(text)).toBe('malformed_json')
  })

  it.each([
    ['text that looks like a member inside a string', '{"a":"\\"b\\":1,\\"b\\":2"}'],
    ['the same name in different objects', '{"a":{"x":1},"b":{"x":1}}'],
    ['a name that differs in case', '{"a":1,"A":1}'],
    ['names of Object.prototype', '{"constructor":1,"toString":2,"hasOwnProperty":3}'],
  ])('accepts %s', (_, text) => {
    expect(parseJson(text)).toEqual(JSON.parse(text))
  })

  it('refuses a member called __proto__, however it is spelled', () => {
    expect(refused('{"__proto__":{"admin":true}}')).toBe('malformed_json')
    expect(refused('{"a":[{"\\u005f_proto__":null}]}')).toBe('malformed_json')
  })

  it.each(['1e999', '-1e999', '[1,1e400]', '{"exp":1e999}'])('refuses a number beyond a double: %s', (text) => {
    expect(refused(text)).toBe('malformed_json')
  })

  it.each([
    ['a byte order mark', [0xef, 0xbb, 0xbf, 0x31]],
    ['UTF-16', [...Buffer.from('{"a":1}', 'utf16le')]],
    ['an overlong encoding', [0x22, 0xc0, 0xaf, 0x22]],
    ['an encoded surrogate', [0x22, 0xed, 0xa0, 0x80, 0x22]],
    ['a cut sequence', [0x22, 0xe2, 0x82, 0x22]],
    ['a byte beyond Unicode', [0x22, 0xf5, 0x80, 0x80, 0x80, 0x22]],
  ])('refuses bytes with %s', (_, bytes) => {
    expect(refused(Buffer.from(bytes))).toBe('malformed_json')
  })

  it('refuses half a surrogate pair, written out or escaped, in names and values', () => {
    for (const text of ['"\\ud800"', '{"\\uDC00":1}', '"\ud800"', '["ok","\\udc00\\ud800"]']) {
      expect(refused(text), text).toBe('malformed_json')
    }
    expect(parseJson('"\\ud83d\\ude02"')).toBe('😂')
  })

  it.each(['', ' ', '{', '{"a":1,}', "{'a':1}", '01', 'NaN', 'undefined', '1 2', '\ufeff1', '/**/1'])(
    'refuses what is not JSON: %j',
    (text) => {
      expect(refused(text)).toBe('malformed_json')
    },
  )

  it('stays standing on 10 MB and on 10,000 levels', () => {
    expect(refused(Buffer.alloc(10_000_000, 0x20))).toBe('malformed_json')
    expect(refused('['.repeat(10_000) + ']'.repeat(10_000))).toBe('malformed_json')
    expect(refused(`${'{"a":'.repeat(10_000)}1${'}'.repeat(10_000)}`)).toBe('malformed_json')
  })

  it('counts levels exactly', () => {
    expect(refused('[[1]]', { maximumDepth: 2 })).toBe('accepted')
    expect(refused('[[[]]]', { maximumDepth: 2 })).toBe('malformed_json')
    expect(refused('12345', { maximumBytes: 4 })).toBe('malformed_json')
  })

  it('tells integers that a double rounds from those that it holds, when asked', () => {
    for (const text of ['9007199254740993', '[-9007199254740993]', '{"a":12345678901234567890}']) {
      expect(refused(text), text).toBe('accepted')
      expect(refused(text, { exactIntegers: true }), text).toBe('malformed_json')
    }
    for (const text of ['9007199254740992', '"9007199254740993"', '{"9007199254740993":1}', '0.9007199254740993']) {
      expect(refused(text, { exactIntegers: true }), text).toBe('accepted')
    }
  })

  it('never quotes the text in its message', () => {
    for (const text of ['canary', '{"canary":1,"canary":2}', '"\\ud800canary"']) {
      expect(() => parseJson(text)).toThrow(expect.not.objectContaining({ message: expect.stringContaining('canary') }))
    }
  })

  it('takes linear time on texts made to be slow', () => {
    const before = process.cpuUsage()
    refused(`{"a":"${'\\\\'.repeat(400_000)}"}`)
    refused(`[${'"",'.repeat(300_000)}1]`)
    refused(`${'1'.repeat(900_000)}`, { exactIntegers: true })
    expect(process.cpuUsage(before).user / 1000).toBeLessThan(3000)
  })
})
