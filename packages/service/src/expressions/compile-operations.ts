import type * as acorn from 'acorn'
import type { Compilation } from './compilation.ts'
import { binaryOperators, unaryOperators } from './operators.ts'
import type { Evaluate } from './run.ts'

export function unary(node: acorn.UnaryExpression, within: Compilation): Evaluate {
  const operate = unaryOperators.get(node.operator)
  if (operate === undefined) throw within.bad(node, `an expression has no operator "${node.operator}"`)
  const operand = within.compile(node.argument)
  return (run) => {
    const value = operand(run)
    return within.at(node, () => operate(value))
  }
}

export function binary(node: acorn.BinaryExpression, within: Compilation): Evaluate {
  const operate = binaryOperators.get(node.operator)
  if (operate === undefined) throw within.bad(node, `an expression has no operator "${node.operator}"`)
  const left = within.compile(node.left)
  const right = within.compile(node.right)
  return (run) => {
    const leftValue = left(run)
    const rightValue = right(run)
    return within.at(node, () => operate(leftValue, rightValue, run))
  }
}

export function logical(node: acorn.LogicalExpression, within: Compilation): Evaluate {
  const left = within.compile(node.left)
  const right = within.compile(node.right)
  switch (node.operator) {
    case '&&':
      return (run) => left(run) && right(run)
    case '||':
      return (run) => left(run) || right(run)
    case '??':
      return (run) => left(run) ?? right(run)
  }
}

export function conditional(node: acorn.ConditionalExpression, within: Compilation): Evaluate {
  const test = within.compile(node.test)
  const consequent = within.compile(node.consequent)
  const alternate = within.compile(node.alternate)
  return (run) => (test(run) ? consequent(run) : alternate(run))
}
