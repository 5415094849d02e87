import { compileNode, type Evaluate } from './compile-node.ts'
import { parseExpression } from './parse-expression.ts'
import { plainData } from './plain-data.ts'

/** A value that is worked out from a context. */
export interface Expression<Result = unknown> {
  /** As it stands in the document */
  readonly source: string
  /**
   * `this` is the context. The result is plain data, as JSON would show it, and shares nothing with the context.
   * @throws ServiceError `expression_failed`
   */
  evaluate(context: object): Result
}

/**
 * Compiles an expression such as `{ orderId: this.orderId }`. Nothing in it can call, assign or reach beyond the data
 * of the context: what is not on the list in compile-node.ts does not compile.
 * @throws ServiceError `bad_expression` with the position of the fault
 */
export function compileExpression(source: string): Expression {
  return expression(source, compileNode(parseExpression(source), source))
}

export function expression(source: string, evaluate: Evaluate): Expression {
  return { source, evaluate: (context) => plainData(evaluate(context)) }
}
