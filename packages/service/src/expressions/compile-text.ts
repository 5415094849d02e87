import { compileNode, type Evaluate } from './compile-node.ts'
import { compileExpression, type Expression, expression } from './expression.ts'
import { badExpression, expressionFailed } from './faults.ts'
import { joined, OperandFault } from './operators.ts'
import type { Data } from './own-data.ts'
import { parseExpressionPart } from './parse-expression.ts'

/**
 * Compiles a text that stands for itself, save for its `${...}` parts. Two texts are an expression as a whole: one that
 * begins with a member of the context (`this.id`), and one that is a single `${...}`; such a value keeps its type.
 * `fillIn` turns the value of a part into what stands in the text.
 * @throws ServiceError `bad_expression` with the position of the fault
 */
export function compileText(source: string, fillIn: (value: Data) => Data = (value) => value): Expression {
  if (isExpression(source)) return compileExpression(source)
  const pieces = piecesOf(source)
  const [only] = pieces
  if (pieces.length === 0) return expression(source, () => '')
  if (pieces.length === 1 && only !== undefined) return expression(source, only.value)
  return expression(source, (root) => {
    const values = pieces.map((piece) => (piece.isText ? piece.value(root) : fillIn(piece.value(root))))
    try {
      return joined(values)
    } catch (error) {
      const part = pieces.find(({ isText }) => !isText)
      if (error instanceof OperandFault) throw expressionFailed(source, part?.start ?? 0, error.message)
      throw error
    }
  })
}

/** Whether a text is an expression by itself, without `${`. */
function isExpression(source: string): boolean {
  return /^\s*this\s*(?:$|\.|\?\.|\[)/.test(source)
}

interface Piece {
  readonly start: number
  readonly isText: boolean
  readonly value: Evaluate
}

function piecesOf(source: string): Piece[] {
  const pieces: Piece[] = []
  let offset = 0
  while (offset < source.length) {
    const opening = source.indexOf('${', offset)
    if (opening !== offset) {
      const text = source.slice(offset, opening === -1 ? undefined : opening)
      const bare = /\bthis\.[a-z_$][\w$]*/i.exec(text)
      if (bare) {
        const [name] = bare
        throw badExpression(source, offset + bare.index, `within a text write \${${name}}, or the text holds "${name}"`)
      }
      pieces.push({ start: offset, isText: true, value: () => text })
    }
    if (opening === -1) break
    const { node, end } = parseExpressionPart(source, opening + 2)
    if (source[end] !== '}') throw badExpression(source, end, 'a "}" is missing here')
    pieces.push({ start: opening, isText: false, value: compileNode(node, source) })
    offset = end + 1
  }
  return pieces
}
