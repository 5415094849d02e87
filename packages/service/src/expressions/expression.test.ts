// biome-ignore-all lint/suspicious/noTemplateCurlyInString: the texts are expressions
import { canonicalJson } from '@countersign/tokens'
import { describe, expect, it } from 'vitest'
import { compileExpression } from './expression.ts'
import { refused } from './refused.fixture.ts'

const order = {
  orderId: 'o-1',
  total: 12.5,
  paid: false,
  note: null,
  'unit price': 3,
  items: [
    { sku: 'a', quantity: 2 },
    { sku: 'b', quantity: 1 },
  ],
  customer: { id: 7, address: { city: 'Łódź' } },
}

const value = (source: string, context: object = order) => compileExpression(source).evaluate(context)

describe('an expression', () => {
  it.each<[string, unknown]>([
    ['this.orderId', 'o-1'],
    ['this', order],
    ['this["unit price"]', 3],
    ["this['items'][1].sku", 'b'],
    ['this.items[this.items.length - 1].sku', 'b'],
    ['this.items.length', 2],
    ['this.orderId.length', 3],
    ['this.orderId[0]', 'o'],
    ['this.customer.address.city', 'Łódź'],
    ['this.missing', undefined],
    ['this.missing?.city', undefined],
    ['this.missing?.city.name[0]', undefined],
    ['this?.customer?.["id"]', 7],
    ['this.note', null],
    ['{ orderId: this.orderId, total: this.total }', { orderId: 'o-1', total: 12.5 }],
    ['{ "a b": 1, 2: [true, null], [this.orderId]: { } }', { 'a b': 1, 2: [true, null], 'o-1': {} }],
    ['{ ...this.customer, id: 8 }', { id: 8, address: { city: 'Łódź' } }],
    ['{ ...this.missing, ...null, a: 1 }', { a: 1 }],
    ['[...this.items, { sku: "c" }]', [...order.items, { sku: 'c' }]],
    ['1 + 2 * 3 - 4 / 2', 5],
    ['-(2 ** 3) % 5', -3],
    ['+"12" + 1', 13],
    ['"a" + 1 + true', 'a1true'],
    ['this.total > 10 && !this.paid', true],
    ['this.note ?? "none"', 'none'],
    ['this.note || "none"', 'none'],
    ['this.total >= 12.5 ? "large" : "small"', 'large'],
    ['this.total === 12.5 && this.orderId !== "o-2"', true],
    ['this.note == undefined', true],
    ['"10" == 10', true],
    ["'it\\'s \\u00e9'", "it's é"],
    ['`order ${this.orderId}: ${this.items[0].quantity + 1}`', 'order o-1: 3'],
    ['0x10 + 1_000 + .5', 1016.5],
    ['(this.total)', 12.5],
    ['this /* whole */ .total // said so', 12.5],
    ['\n{\n  total: this.total,\n}\n', { total: 12.5 }],
    ['undefined', undefined],
  ])('%s', (source, expected) => {
    expect(value(source)).toEqual(expected)
  })

  it('works out only the branch that is taken', () => {
    expect(value('this.paid ? this.missing.name : 1')).toBe(1)
    expect(value('this.paid && this.missing.name')).toBe(false)
    expect(value('this.orderId || this.missing.name')).toBe('o-1')
    expect(value('this.orderId ?? this.missing.name')).toBe('o-1')
  })

  it('ends a chain of ?. at its parenthesis, as JavaScript does', () => {
    expect(refused(() => value('(this.missing?.a).b')).code).toBe('expression_failed')
  })

  it('says what was missing and where', () => {
    const error = refused(() => value('{ city: this.missing.address.city }'))
    expect(error.code).toBe('expression_failed')
    expect(error.position).toEqual({ line: 1, column: 22 })
    expect(error.message).toBe('line 1, column 22: this.missing is undefined; read it with ?. if it may be')
  })
})

describe('the result of an expression', () => {
  it('is a copy that shares nothing with the context', () => {
    const result = value('{ customer: this.customer, items: this.items }') as typeof order
    result.customer.address.city = 'Kraków'
    result.items.pop()
    expect(order.customer.address.city).toBe('Łódź')
    expect(order.items).toHaveLength(2)
  })

  it('is what JSON would say', () => {
    const context = {
      at: new Date(0),
      big: 2n ** 60n,
      bytes: Buffer.from('hi'),
      run: () => 1,
      minusZero: -0,
      gap: [1, undefined, () => 1],
      price: new (class Price {
        toJSON() {
          return { amount: '1.50' }
        }
      })(),
    }
    const result = value('this', context)
    expect(result).toEqual({
      at: '1970-01-01T00:00:00.000Z',
      big: '1152921504606846976',
      bytes: 'aGk=',
      minusZero: 0,
      gap: [1, null, null],
      price: { amount: '1.50' },
    })
    expect(value('`${this.at}/${this.price.amount}/${this.big}`', context)).toBe(
      '1970-01-01T00:00:00.000Z/1.50/1152921504606846976',
    )
    expect(JSON.parse(canonicalJson(result))).toEqual(result)
  })

  it('leaves out members that are undefined', () => {
    expect(Object.keys(value('{ a: this.missing, b: 1 }') as object)).toEqual(['b'])
  })

  it.each([
    ['a number that is not finite', 'this.x', { x: Number.NaN }],
    ['a cycle', 'this', cycle()],
    ['more than 64 levels', 'this', JSON.parse(`${'{"a":'.repeat(70)}1${'}'.repeat(70)}`)],
    ['a member named __proto__', 'this', JSON.parse('{"a":{"__proto__":{"admin":true}}}')],
  ])('never holds %s', (_, source, context) => {
    expect(refused(() => value(source, context)).code).toBe('expression_failed')
  })

  it('is bounded, however often the expression repeats the context', () => {
    const context = { text: 'x'.repeat(1_000_000), list: Array(400_000).fill(1) }
    const sources = [
      `${'`${this.text}'.repeat(1) + '${this.text}'.repeat(500)}\``,
      Array(200).fill('this.text').join(' + '),
      `[${Array(500).fill('...this.list').join(',')}]`,
      `[${Array(500).fill('[...this.list]').join(',')}]`,
      `[${Array(500).fill('this.list').join(',')}]`,
      `{ ${Array.from({ length: 300 }, (_, index) => `k${index}: { ...this }`).join(', ')} }`,
    ]
    for (const source of sources) {
      const before = process.cpuUsage()
      expect(refused(() => value(source, context)).code).toBe('expression_failed')
      expect(process.cpuUsage(before).user / 1e6).toBeLessThan(2)
    }
  })

  function cycle() {
    const one: Record<string, unknown> = {}
    one.self = one
    return one
  }
})

describe('an operator', () => {
  it.each([
    ['this.missing * 2', 'what is undefined is no number; write ?? 0 behind it if it may be'],
    ['this.orderId * 2', 'a text is no number'],
    ['this.customer + 1', 'an object is no number'],
    ['this.items > 1', 'an array is neither larger nor smaller than anything'],
    ['1 / 0', 'the result is no finite number'],
    ['10 ** 400', 'the result is no finite number'],
    ['"order " + this.missing', "what is undefined has no text; write ?? '' behind it if it may be"],
    ['"order " + this.customer', 'an object has no text; name the member that is meant'],
    ['`order ${this.note}`', "what is null has no text; write ?? '' behind it if it may be"],
  ])('makes no nonsense of %s', (source, message) => {
    expect(refused(() => value(source)).message).toBe(`line 1, column 1: ${message}`)
  })

  it('calls nothing that an object brings along', () => {
    let calls = 0
    const count = () => {
      calls += 1
      return 'called'
    }
    const context = { it: { toString: count, valueOf: count, [Symbol.toPrimitive]: count }, key: 'a', other: {} }
    for (const source of ['this.it + ""', '`${this.it}`', 'this.it < 1', '-this.it', 'this.other[this.it]']) {
      expect(refused(() => value(source, context)).code).toBe('expression_failed')
    }
    expect(value('this.it == "called" || this.it === this.other', context)).toBe(false)
    expect(value('{ ...this.it }', context)).toEqual({})
    expect(calls).toBe(0)
  })
})
