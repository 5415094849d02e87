import { type Expression as ExpressionNode, parseExpressionAt } from 'acorn'
import { badExpression } from './faults.ts'

export type { ExpressionNode }

const longestSource = 8192

/** The syntax tree of a source that is one expression and nothing else. */
export function parseExpression(source: string): ExpressionNode {
  if (source.trim() === '') throw badExpression(source, 0, 'the expression is empty')
  const { node, end } = parseExpressionPart(source, 0)
  if (end < source.length) throw badExpression(source, end, `${shown(source, end)} is not expected here`)
  return node
}

/** The expression that begins at `start`, and the offset of the first sign behind it that is not space or comment. */
export function parseExpressionPart(source: string, start: number): { node: ExpressionNode; end: number } {
  if (source.length > longestSource) {
    throw badExpression(source, longestSource, `an expression has at most ${longestSource} characters`)
  }
  try {
    const node = parseExpressionAt(source, start, { ecmaVersion: 2022, sourceType: 'module', preserveParens: true })
    return { node, end: skipSpace(source, node.end) }
  } catch (error) {
    throw syntaxFault(source, error)
  }
}

function skipSpace(source: string, start: number): number {
  const space = /(?:\s|\/\*[\s\S]*?\*\/|\/\/.*)*/y
  space.lastIndex = start
  space.exec(source)
  return space.lastIndex
}

function syntaxFault(source: string, error: unknown): Error {
  if (error instanceof RangeError) return badExpression(source, 0, 'the expression is nested too deeply')
  const { pos, message } = error as SyntaxError & { pos?: number }
  if (pos === undefined) throw error
  const what = message.replace(/ \(\d+:\d+\)$/, '')
  if (pos >= source.length) return badExpression(source, pos, 'the expression ends too early')
  if (what === 'Unexpected token') return badExpression(source, pos, `${shown(source, pos)} is not expected here`)
  return badExpression(source, pos, what.charAt(0).toLowerCase() + what.slice(1))
}

/** The word or sign that stands at an offset. Of a text only its quote: what it says may be a secret. */
function shown(source: string, offset: number): string {
  const [token = ''] = /^(?:[\w$]{1,40}|\*\*|=>|[\s\S])/u.exec(source.slice(offset)) ?? []
  return `"${token}"`
}
