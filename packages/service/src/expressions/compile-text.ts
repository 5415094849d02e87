import { compileNode } from './compile-node.ts'
import { badExpression, expressionFailed } from './faults.ts'
import { joined } from './operators.ts'
import type { Data } from './own-data.ts'
import { parseExpression, parseExpressionPart } from './parse-expression.ts'
import { type Evaluate, OperandFault, type Run } from './run.ts'

/** What becomes of the value of a part on its way into the text; `isFirst` where nothing stands before it. */
export type FillIn = (value: Data, isFirst: boolean) => Data

/**
 * Compiles a text that stands for itself, save for its `${...}` parts. It may also be written as the template string
 * that it then is, in backticks. Two kinds of text are an expression as a whole, and their value keeps its type: one
 * that begins with a member of the context (`this.id`), and a single `${...}`.
 * @throws ServiceError `bad_expression` with the position of the fault
 */
export function compileText(source: string, fillIn: FillIn = (value) => value): Evaluate {
  if (isExpression(source)) return compileNode(parseExpression(source), source)
  const pieces = isTemplate(source) ? piecesOfTemplate(source) : piecesOf(source)
  const [only] = pieces
  if (only !== undefined && pieces.length === 1) return (run) => pieceValue(only, run)
  return (run) => {
    const values = pieces.map((piece, index) => {
      const value = pieceValue(piece, run)
      return typeof piece === 'string' ? value : fillIn(value, index === 0)
    })
    try {
      return joined(values, run)
    } catch (error) {
      const wrong = pieces.find((piece, index) => typeof piece !== 'string' && !hasText(values[index]))
      const offset = typeof wrong === 'object' ? wrong.start : 0
      throw error instanceof OperandFault ? expressionFailed(source, offset, error.message) : error
    }
  }
}

/** Whether a text is an expression without being marked as one. */
export function isExpression(source: string): boolean {
  return /^\s*this\s*(?:$|\.|\?\.|\[)/.test(source)
}

export function isTemplate(source: string): boolean {
  return /^\s*`[\s\S]*`\s*$/.test(source)
}

/** A text that stands for itself, or a part that is filled in. */
type Piece = string | { readonly start: number; readonly evaluate: Evaluate }

function pieceValue(piece: Piece, run: Run): Data {
  return typeof piece === 'string' ? piece : piece.evaluate(run)
}

function hasText(value: Data): boolean {
  return value !== undefined && value !== null && typeof value !== 'object'
}

function piecesOf(source: string): Piece[] {
  const pieces: Piece[] = []
  for (let offset = 0; offset < source.length; ) {
    const opening = source.indexOf('${', offset)
    const text = source.slice(offset, opening === -1 ? source.length : opening)
    refuseBareMember(text, offset, source)
    if (text !== '') pieces.push(text)
    if (opening === -1) break
    const { node, end } = parseExpressionPart(source, opening + 2)
    if (source[end] !== '}') throw badExpression(source, end, 'a "}" is missing here')
    pieces.push({ start: opening, evaluate: compileNode(node, source) })
    offset = end + 1
  }
  return pieces.length === 0 ? [''] : pieces
}

function piecesOfTemplate(source: string): Piece[] {
  const node = parseExpression(source)
  if (node.type !== 'TemplateLiteral') return [{ start: node.start, evaluate: compileNode(node, source) }]
  const pieces = node.quasis.flatMap(({ value }, index): Piece[] => {
    const part = node.expressions[index]
    const text = value.cooked ? [value.cooked] : []
    return part === undefined ? text : [...text, { start: part.start, evaluate: compileNode(part, source) }]
  })
  return pieces.length === 0 ? [''] : pieces
}

/** `Bearer this.token` would be sent as it stands, and nobody means that. */
function refuseBareMember(text: string, offset: number, source: string): void {
  const bare = /\bthis\.[a-z_$][\w$]*/i.exec(text)
  if (bare === null) return
  const [name] = bare
  throw badExpression(
    source,
    offset + bare.index,
    `to fill in ${name} here, write \${${name}}; for these very words, \${'${name}'}`,
  )
}
