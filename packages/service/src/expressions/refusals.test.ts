// biome-ignore-all lint/suspicious/noTemplateCurlyInString: the texts are expressions
import { describe, expect, it } from 'vitest'
import { compileExpression } from './expression.ts'
import { refused } from './refused.fixture.ts'

describe('an expression is refused at start', () => {
  it.each([
    ['a call', 'this.items.map(1)', 1, 'an expression cannot call anything'],
    ['a call without parentheses', 'this.run`x`', 1, 'an expression cannot call anything, not even by a template'],
    ['an optional call', 'this.run?.()', 1, 'an expression cannot call anything'],
    ['an import', 'import("node:fs")', 1, 'an expression cannot import anything'],
    ['import.meta', 'import.meta.url', 1, 'an expression cannot hold this'],
    ['new', 'new this.Date', 1, 'an expression cannot make anything with "new"'],
    ['new.target', '[new.target]', 2, undefined],
    ['an assignment', 'this.a = 1', 1, 'an expression cannot assign; to compare, write ==='],
    ['an assignment by destructuring', '[this.a] = [1]', 1, 'an expression cannot assign; to compare, write ==='],
    ['a conditional assignment', 'this.a ??= 1', 1, 'an expression cannot assign; to compare, write ==='],
    ['an increment', 'this.a++', 1, 'an expression cannot assign'],
    ['delete', 'delete this.a', 1, 'an expression has no operator "delete"'],
    ['void', 'void 0', 1, 'an expression has no operator "void"'],
    ['typeof', 'typeof this.a', 1, 'an expression has no operator "typeof"'],
    ['in', '"a" in this', 1, 'an expression has no operator "in"'],
    ['instanceof', 'this instanceof this.a', 1, 'an expression has no operator "instanceof"'],
    ['bits', 'this.a | 1', 1, 'an expression has no operator "|"'],
    ['a function', '(function () { return 1 })', 2, 'an expression cannot hold a function'],
    ['an arrow function', '() => this', 1, 'an expression cannot hold a function'],
    ['a method', '{ a() { return 1 } }', 3, 'an expression cannot hold a function'],
    ['a getter', '{ get a() { return 1 } }', 3, 'an expression cannot hold a function'],
    ['a setter', '{ set a(b) { } }', 3, 'an expression cannot hold a function'],
    ['a class', '(class {})', 2, 'an expression cannot hold a class'],
    ['a regular expression', '/(a+)+$/', 1, 'an expression cannot hold a regular expression'],
    ['a big integer', '[1n]', 2, 'JSON has no big integers; leave out the "n"'],
    ['a number that is too large', '1e999', 1, 'the number is too large'],
    ['a sequence', '(this.a, this.b)', 2, 'an expression is one value, so no comma stands here'],
    ['two values', 'this.a, this.b', 1, 'an expression is one value, so no comma stands here'],
    ['a statement', 'this.a; this.b', 7, '";" is not expected here'],
    ['a global', 'process.env', 1, undefined],
    ['globalThis', 'globalThis', 1, undefined],
    ['a bare word', 'orderId', 1, undefined],
    ['a short member', '{ orderId }', 3, undefined],
    ['yield', 'yield', 1, undefined],
    ['await', 'await this.a', 1, undefined],
    ['super', 'super.a', 1, undefined],
    ['a private name', 'this.#a', 6, undefined],
    ['a hole', '[1, , 2]', 1, 'the array leaves out an item; write null for it'],
    ['a HTML comment', '<!-- x', 1, undefined],
    ['an octal number', '017', 1, undefined],
    ['nothing', '', 1, 'the expression is empty'],
    ['space alone', ' \n ', 1, 'the expression is empty'],
    ['a comment alone', '// nothing', 11, 'the expression ends too early'],
    ['an open bracket', '{ a: this.b', 12, 'the expression ends too early'],
    ['a bracket too many', '{ a: this.b }}', 14, '"}" is not expected here'],
    ['a way out of a wrapper', 'this.a) || (this.b', 7, '")" is not expected here'],
    ['an open text', '{ a: "x }', 6, 'unterminated string constant'],
    ['an open comment', 'this.a /* x', 8, undefined],
    ['a lone sign', 'this.a # 1', 9, undefined],
  ])('for %s', (_, source, column, message) => {
    const error = refused(() => compileExpression(source))
    expect(error.code).toBe('bad_expression')
    expect(error.position).toEqual({ line: 1, column: expect.any(Number) })
    expect(error.position?.column).toBe(column)
    if (message !== undefined) expect(error.message).toBe(`line 1, column ${column}: ${message}`)
  })

  it.each([
    'this.constructor',
    'this.a.__proto__',
    'this.a.b.prototype',
    'this["constructor"]',
    "this?.['__proto__']",
    'this.c\\u006fnstructor',
    'this["\\x63onstructor"]',
    'this?.constructor',
    '({}).constructor',
    '[].constructor',
    '"".constructor',
    '{ __proto__: this.a }',
    '{ "__proto__": this.a }',
    '{ ["__proto__"]: this.a }',
    '{ constructor: this.a }',
    '{ prototype: 1 }',
  ])('for reaching from data to what made it: %s', (source) => {
    const error = refused(() => compileExpression(source))
    expect(error.code).toBe('bad_expression')
    expect(error.message).toMatch(/"(constructor|__proto__|prototype)" is refused/)
  })

  it('names the line and the column in a source of several lines', () => {
    const error = refused(() => compileExpression('{\n  a: this.a,\r\n  b: run(this.b)\n}'))
    expect(error.position).toEqual({ line: 3, column: 6 })
    expect(error.message).toBe('line 3, column 6: an expression cannot call anything')
  })

  it('says what to write for a word that is not known', () => {
    expect(refused(() => compileExpression('{ id: orderId }')).message).toBe(
      'line 1, column 7: "orderId" is not known; ' +
        "write this.orderId for the member of the context, 'orderId' for the text",
    )
  })

  it('does not repeat what a text in it says, for that may be a secret', () => {
    for (const source of [
      "f('canary-secret')",
      "'canary-secret",
      "this.a 'canary-secret'",
      "'canary-secret'.a.b.c()",
    ]) {
      expect(refused(() => compileExpression(source)).message).not.toContain('canary')
    }
    const failing = compileExpression("this['canary-secret'].a")
    expect(refused(() => failing.evaluate({})).message).not.toContain('canary')
  })

  it.each([
    ['brackets', `${'('.repeat(4_000)}1${')'.repeat(4_000)}`],
    ['arrays', `${'['.repeat(4_000)}${']'.repeat(4_000)}`],
    ['signs', `${'!'.repeat(8_000)}1`],
    ['conditions', `${'1?1:'.repeat(2_000)}1`],
    ['members', `this${'.a'.repeat(4_000)}`],
    ['sums', `1${'+1'.repeat(4_000)}`],
    ['templates', `${'`${'.repeat(2_000)}1${'}`'.repeat(2_000)}`],
    ['length', `'${'x'.repeat(9_000)}'`],
  ])('for too much of a good thing: %s', (_, source) => {
    expect(refused(() => compileExpression(source)).code).toBe('bad_expression')
  })

  it('takes what a document can reasonably hold', () => {
    const source = `[${Array(500).fill('this.a + 1').join(', ')}, ${Array(100).fill('this.a').join(' + ')}]`
    expect(compileExpression(source).evaluate({ a: 2 })).toHaveLength(501)
  })
})

describe('while it is worked out, an expression', () => {
  it.each([
    ["this['con' + 'structor']", {}],
    ['this.a[this.key]', { a: [], key: 'constructor' }],
    ['this.a?.[`__${this.key}__`]', { a: 'text', key: 'proto' }],
    ["{ ['__pro' + 'to__']: this.a }", { a: 1 }],
    ['{ [this.key]: 1 }', { key: 'prototype' }],
    ['{ ...this.a }', { a: JSON.parse('{"__proto__":{"admin":true}}') }],
    ['{ ...this.a }', { a: { constructor: 1 } }],
  ])('is refused a name that was put together: %s', (source, context) => {
    const error = refused(() => compileExpression(source).evaluate(context))
    expect(error.code).toBe('expression_failed')
    expect(error.message).toMatch(/constructor|__proto__|prototype/)
  })

  it.each<[string, object]>([
    ['this.toString', {}],
    ['this.hasOwnProperty', {}],
    ['this.__defineGetter__', {}],
    ['this.__lookupGetter__', {}],
    ['this.list.map', { list: [1] }],
    ['this.list[-1]', { list: [1] }],
    ['this.list["01"]', { list: [1, 2] }],
    ['this.list.extra', { list: Object.assign([1], { extra: 1 }) }],
    ['this.text.at', { text: 'abc' }],
    ['this.number.toFixed', { number: 1 }],
    ['this.run', { run: () => 1 }],
    ['this.run?.name', { run: () => 1 }],
    ['this.symbol', { symbol: Symbol('s') }],
    ['this.inherited', Object.create({ inherited: 1 })],
    ['this.hidden', Object.defineProperty({}, 'hidden', { value: 1, enumerable: false })],
  ])('reads nothing but own data: %s', (source, context) => {
    expect(compileExpression(source).evaluate(context)).toBeUndefined()
  })

  it('runs no getter', () => {
    let runs = 0
    const computed = {
      get secret() {
        runs += 1
        return 'x'
      },
    }
    const list: unknown[] = Object.defineProperty([1, 2], 1, { get: () => (runs += 1), enumerable: true })
    for (const source of ['this.a.secret', 'this.a', '{ ...this.a }', 'this.list', '[...this.list]', 'this.list[1]']) {
      compileExpression(source).evaluate({ a: computed, list })
    }
    expect(runs).toBe(0)
  })

  it('changes nothing of the context', () => {
    const context = Object.freeze({ a: Object.freeze({ b: Object.freeze([1]) }) })
    expect(compileExpression('{ ...this, a: { ...this.a, b: [...this.a.b, 2] } }').evaluate(context)).toEqual({
      a: { b: [1, 2] },
    })
  })
})
