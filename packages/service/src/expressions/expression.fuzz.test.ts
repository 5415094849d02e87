import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { ServiceError } from '../service-error.ts'
import { compileExpression } from './expression.ts'
import { contexts, flatExpressions, randomExpressions, strictOperators } from './oracle.fixture.ts'

/** What JavaScript itself makes of an expression. */
function inJavaScript(source: string, context: object): { value: unknown } | 'failed' {
  try {
    return { value: new Function('strict', `return (${source})`).call(context, strictOperators) }
  } catch {
    return 'failed'
  }
}

function inTheKit(source: string, context: object): { value: unknown } | 'failed' {
  try {
    return { value: compileExpression(source).evaluate(context) }
  } catch (error) {
    if (error instanceof ServiceError && error.code === 'expression_failed') return 'failed'
    throw error
  }
}

/** As JSON would have it, which is what the kit gives. */
function asJson(result: { value: unknown } | 'failed'): unknown {
  if (result === 'failed' || result.value === undefined) return result
  return { value: JSON.parse(JSON.stringify(result.value)) }
}

describe('expressions at random', () => {
  it('mean what they mean in JavaScript, and fail where that would be nonsense', () => {
    let succeeded = 0
    fc.assert(
      fc.property(randomExpressions, contexts, ({ source, strict }, context) => {
        const result = inTheKit(source, context)
        expect(result).toEqual(asJson(inJavaScript(strict, context)))
        if (result !== 'failed') succeeded += 1
      }),
      { numRuns: 5_000 },
    )
    expect(succeeded).toBeGreaterThan(1_000)
  })

  it('bind as they do in JavaScript', () => {
    fc.assert(
      fc.property(flatExpressions, (source) => {
        const result = inTheKit(source, {})
        if (result !== 'failed') expect(result).toEqual(asJson(inJavaScript(source, {})))
      }),
      { numRuns: 2_000 },
    )
  })

  it('of any signs are refused with a position, or read data and nothing else', () => {
    const words = fc.constantFrom(
      ...['this', '.', '?.', '[', ']', '(', ')', '{', '}', '...', ',', ':', '?', '=', '=>', '`', '${', '"', "'", '\\'],
      ...['a', 'b', 'constructor', '__proto__', 'prototype', 'toString', 'new', 'function', 'async', 'await', 'import'],
      ...[
        '+',
        '-',
        '*',
        '/',
        '!',
        '&&',
        '??',
        '1',
        '0',
        'null',
        'true',
        'get',
        'delete',
        'Function',
        'globalThis',
        ' ',
      ],
      ...['\n', '//', '/*', '*/', '#', '@', '\u2028', '\ud800', 'u0063', '<!--', 'undefined', "'con'+'structor'"],
    )
    let evaluated = 0
    fc.assert(
      fc.property(fc.array(words, { minLength: 1, maxLength: 12 }), (parts) => {
        const source = parts.join('')
        const context = { a: { b: [1, 'x'] }, b: 'text', f: () => 1 }
        try {
          const result = compileExpression(source).evaluate(context)
          evaluated += 1
          if (result !== undefined) expect(JSON.parse(JSON.stringify(result))).toEqual(result)
        } catch (error) {
          expect(error).toBeInstanceOf(ServiceError)
          const { code, position, message } = error as ServiceError
          expect(code).toMatch(/^(bad_expression|expression_failed)$/)
          expect(message).not.toBe('')
          const lines = source.split(/\r\n|[\n\r\u2028\u2029]/)
          expect(position!.line).toBeLessThanOrEqual(lines.length)
          expect(position!.column).toBeLessThanOrEqual(lines[position!.line - 1]!.length + 1)
        }
        expect(context).toEqual({ a: { b: [1, 'x'] }, b: 'text', f: expect.any(Function) })
        expect(Object.keys(Object.prototype)).toEqual([])
      }),
      { numRuns: 20_000 },
    )
    expect(evaluated).toBeGreaterThan(100)
  })

  it('never yield what the data inherits, whatever name is asked for', () => {
    const inherited = [
      ...Object.getOwnPropertyNames(Object.prototype),
      ...Object.getOwnPropertyNames(Array.prototype),
      ...Object.getOwnPropertyNames(String.prototype),
      ...Object.getOwnPropertyNames(Function.prototype),
    ].filter((name) => name !== 'length')
    for (const name of inherited) {
      for (const holder of ['this', 'this.list', 'this.text', 'this.run', '{}', '[]', '"x"', '1']) {
        const result = inTheKit(`(${holder})?.[this.name]`, { name, list: [], text: 'x', run: () => 1 })
        if (result === 'failed') continue
        expect(result).toEqual({ value: holder === 'this' && name === 'name' ? name : undefined })
      }
    }
  })
})
