// biome-ignore-all lint/suspicious/noTemplateCurlyInString: the texts are expressions
import { describe, expect, it } from 'vitest'
import { compileText } from './compile-text.ts'
import { toExpression } from './expression.ts'
import { refused } from './refused.fixture.ts'

const value = (source: string, context: object = { id: 'a b', count: 2, list: [1], '': 'empty' }) =>
  toExpression(source, compileText(source)).evaluate(context)

describe('a text', () => {
  it.each<[string, unknown]>([
    ['POST', 'POST'],
    ['', ''],
    ['   ', '   '],
    ['{ id }', '{ id }'],
    ['costs $5 {or so}', 'costs $5 {or so}'],
    ['this is a text', 'this is a text'],
    ['do this. Then that', 'do this. Then that'],
    ["it's `quoted`", "it's `quoted`"],
    ['back\\slash', 'back\\slash'],
  ])('stands for itself: %s', (source, expected) => {
    expect(value(source)).toBe(expected)
  })

  it.each<[string, unknown]>([
    ['order ${this.id}', 'order a b'],
    ['${this.id}/${this.count}', 'a b/2'],
    ['${this.id} ', 'a b '],
    ['${ { a: "}" }.a }${`${this.count}`}', '}2'],
    ["${'this.id'} is meant", 'this.id is meant'],
    ['`order ${this.id}`', 'order a b'],
    [' `plain \\u00e9` ', 'plain é'],
    ['``', ''],
    ['`${this.count}` + 1', '`2` + 1'],
  ])('holds parts that are filled in: %s', (source, expected) => {
    expect(value(source)).toBe(expected)
  })

  it.each<[string, unknown]>([
    ['this.count', 2],
    [' this.count + 1', 3],
    ['this', { id: 'a b', count: 2, list: [1], '': 'empty' }],
    ['this?.list', [1]],
    ['this["count"]', 2],
    ['${this.count}', 2],
    ['${this.list}', [1]],
    ['${this.missing}', undefined],
  ])('is an expression as a whole, and keeps its type: %s', (source, expected) => {
    expect(value(source)).toEqual(expected)
  })

  it.each([
    ['Bearer this.token', 8, "to fill in this.token here, write ${this.token}; for these very words, ${'this.token'}"],
    ['order ${this.id', 16, 'a "}" is missing here'],
    ['order ${', 9, 'the expression ends too early'],
    ['order ${this.id b}', 17, 'a "}" is missing here'],
    ['order ${}', 9, '"}" is not expected here'],
    ['order ${run(1)}', 9, 'an expression cannot call anything'],
    ['${this.a} ${this.constructor}', 18, '"constructor" is refused, because expressions read nothing but data'],
    ['this..id', 6, '"." is not expected here'],
  ])('is refused at start, with the place of the fault: %s', (source, column, message) => {
    const error = refused(() => compileText(source))
    expect(error.code).toBe('bad_expression')
    expect(error.message).toBe(`line 1, column ${column}: ${message}`)
  })

  it('does not say "undefined" or "[object Object]"', () => {
    const missing = refused(() => value('order ${this.id} ${this.missing}'))
    expect(missing.message).toBe("line 1, column 18: what is undefined has no text; write ?? '' behind it if it may be")
    expect(refused(() => value('order ${this.list}')).message).toContain('an array has no text')
  })
})
