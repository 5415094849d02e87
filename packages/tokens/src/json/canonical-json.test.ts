import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { refusal } from '../refusal.fixture.ts'
import { canonicalJson } from './canonical-json.ts'

describe('canonicalJson', () => {
  it('writes the example of RFC 8785 section 3.2.2', () => {
    const value = JSON.parse(String.raw`{
      "numbers": [333333333.33333329, 1E30, 4.50, 2e-3, 0.000000000000000000000000001],
      "string": "\u20ac$\u000F\u000aA'\u0042\u0022\u005c\\\"\/",
      "literals": [null, true, false]
    }`)
    expect(canonicalJson(value)).toBe(
      String.raw`{"literals":[null,true,false],"numbers":[333333333.3333333,1e+30,4.5,0.002,1e-27],"string":"€$\u000f\nA'B\"\\\\\"/"}`,
    )
  })

  it('sorts by UTF-16 unit as in RFC 8785 section 3.2.3', () => {
    const value = {
      '\u20ac': 'Euro Sign',
      '\r': 'Carriage Return',
      '\ufb33': 'Hebrew Letter Dalet With Dagesh',
      '1': 'One',
      '\ud83d\ude00': 'Emoji: Grinning Face',
      '\u0080': 'Control',
      '\u00f6': 'Latin Small Letter O With Diaeresis',
    }
    const order = Object.values(
      JSON.parse(
        `[${canonicalJson(value)
          .slice(1, -1)
          .replaceAll(/"[^"]*":/g, '')}]`,
      ),
    )
    expect(order).toEqual([
      'Carriage Return',
      'One',
      'Control',
      'Latin Small Letter O With Diaeresis',
      'Euro Sign',
      'Emoji: Grinning Face',
      'Hebrew Letter Dalet With Dagesh',
    ])
  })

  it.each([
    ['0000000000000000', '0'],
    ['8000000000000000', '0'],
    ['0000000000000001', '5e-324'],
    ['8000000000000001', '-5e-324'],
    ['7fefffffffffffff', '1.7976931348623157e+308'],
    ['ffefffffffffffff', '-1.7976931348623157e+308'],
    ['4340000000000000', '9007199254740992'],
    ['c340000000000000', '-9007199254740992'],
    ['4430000000000000', '295147905179352830000'],
    ['44b52d02c7e14af5', '9.999999999999997e+22'],
    ['44b52d02c7e14af6', '1e+23'],
    ['44b52d02c7e14af7', '1.0000000000000001e+23'],
    ['444b1ae4d6e2ef4e', '999999999999999700000'],
    ['444b1ae4d6e2ef4f', '999999999999999900000'],
    ['444b1ae4d6e2ef50', '1e+21'],
    ['3eb0c6f7a0b5ed8c', '9.999999999999997e-7'],
    ['3eb0c6f7a0b5ed8d', '0.000001'],
    ['41b3de4355555553', '333333333.3333332'],
    ['41b3de4355555554', '333333333.33333325'],
    ['41b3de4355555555', '333333333.3333333'],
    ['41b3de4355555556', '333333333.3333334'],
    ['41b3de4355555557', '333333333.33333343'],
    ['becbf647612f3696', '-0.0000033333333333333333'],
    ['43143ff3c1cb0959', '1424953923781206.2'],
  ])('writes the double %s of RFC 8785 appendix B as %s', (bits, text) => {
    expect(canonicalJson(Buffer.from(bits, 'hex').readDoubleBE())).toBe(text)
  })

  it('is the same for every order of members, and reads back as the value', () => {
    fc.assert(
      fc.property(
        fc.dictionary(fc.string(), fc.jsonValue({ maxDepth: 4 })),
        fc.infiniteStream(fc.nat()),
        (value, ranks) => {
          const shuffled = Object.fromEntries(
            Object.entries(value)
              .map((entry) => ({ entry, rank: ranks.next().value as number }))
              .sort((a, b) => a.rank - b.rank)
              .map(({ entry }) => entry),
          )
          const text = canonicalJson(value)
          expect(canonicalJson(shuffled)).toBe(text)
          expect(canonicalJson(JSON.parse(text))).toBe(text)
          expect(JSON.parse(text)).toEqual(JSON.parse(JSON.stringify(value)))
        },
      ),
    )
  })

  it('does not normalise Unicode', () => {
    expect(canonicalJson('e\u0301')).not.toBe(canonicalJson('\u00e9'))
  })

  it('sees values as JSON.stringify does', () => {
    const value = { b: undefined, a: [undefined, new Date(0)], c: { toJSON: () => [1] } }
    expect(canonicalJson(value)).toBe('{"a":[null,"1970-01-01T00:00:00.000Z"],"c":[1]}')
  })

  it('writes a member called __proto__ like any other', () => {
    expect(canonicalJson(JSON.parse('{"a":1,"__proto__":{"b":2}}'))).toBe('{"__proto__":{"b":2},"a":1}')
  })

  it.each([
    ['NaN', Number.NaN],
    ['an infinity', [Number.POSITIVE_INFINITY]],
    ['half a surrogate pair', { a: '\ud800' }],
    ['half a surrogate pair in a name', { '\udc00': 1 }],
    ['a bigint', 1n],
    ['a function', { a: () => 1 }],
    ['nothing', undefined],
  ])('refuses %s', (_, value) => {
    expect(refusal(() => canonicalJson(value))).toBe('malformed_json')
  })

  it('refuses cycles and great depth without running out of stack', () => {
    const cycle: Record<string, unknown> = {}
    cycle.self = [cycle]
    expect(refusal(() => canonicalJson(cycle))).toBe('malformed_json')
    const deep = JSON.parse('['.repeat(10_000) + ']'.repeat(10_000))
    expect(refusal(() => canonicalJson(deep))).toBe('malformed_json')
  })
})
