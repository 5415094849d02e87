import { compileText } from '../expressions/compile-text.ts'
import { compileExpression, type Expression } from '../expressions/expression.ts'
import type { Data } from '../expressions/own-data.ts'
import { ServiceError } from '../service-error.ts'

/** A text is an expression; anything else is read member by member, and the texts in it stand for themselves. */
export function compileValue(given: unknown): Expression {
  if (typeof given === 'string') return compileExpression(given)
  const evaluate = compileMembers(given)
  return { source: JSON.stringify(given), evaluate }
}

function compileMembers(given: unknown): (context: object) => unknown {
  if (typeof given === 'string') {
    const expression = compileText(given)
    return (context) => expression.evaluate(context)
  }
  if (Array.isArray(given)) {
    const items = given.map(compileMembers)
    return (context) => items.map((item) => item(context) ?? null)
  }
  if (typeof given === 'object' && given !== null) {
    const members = Object.entries(given).map(([name, value]) => [name, compileMembers(value)] as const)
    return (context) =>
      Object.fromEntries(
        members.map(([name, value]) => [name, value(context)]).filter(([, value]) => value !== undefined),
      )
  }
  return () => given
}

export function compileUrl(given: unknown): Expression<string> {
  if (typeof given !== 'string') throw new ServiceError('bad_expression', 'a URL is text')
  const { source, evaluate } = compileText(given, encoded)
  return { source, evaluate: (context) => String(evaluate(context)) }
}

function encoded(value: Data): Data {
  return typeof value === 'string' ? encodeURIComponent(value) : value
}

export function compileParams(given: unknown): Expression<Record<string, string | string[]>> {
  return compileValue(given) as Expression<Record<string, string | string[]>>
}

export function compileHeaders(given: unknown): Expression<Record<string, string>> {
  return compileValue(given) as Expression<Record<string, string>>
}
