import { compileNode } from './compile-node.ts'
import { expressionFailed } from './faults.ts'
import { parseExpression } from './parse-expression.ts'
import { plainData } from './plain-data.ts'
import { type Evaluate, OperandFault, startRun } from './run.ts'

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
 * Compiles an expression such as `{ orderId: this.orderId }`. It reads data of the context and can do nothing else:
 * what is not on the list in compile-node.ts does not compile.
 * @throws ServiceError `bad_expression` with the position of the fault
 */
export function compileExpression(source: string): Expression {
  return toExpression(source, compileNode(parseExpression(source), source))
}

export function toExpression(source: string, evaluate: Evaluate): Expression {
  return {
    source,
    evaluate(context) {
      const run = startRun(context)
      const value = evaluate(run)
      try {
        return plainData(value, run)
      } catch (error) {
        throw error instanceof OperandFault ? expressionFailed(source, 0, error.message) : error
      }
    },
  }
}
