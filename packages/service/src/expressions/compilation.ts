import type * as acorn from 'acorn'
import type { ServiceError } from '../service-error.ts'
import { badExpression, expressionFailed } from './faults.ts'
import { type Evaluate, OperandFault } from './run.ts'

export type Node = acorn.Expression | acorn.PrivateIdentifier | acorn.SpreadElement | acorn.Super

/** What the compiler of one kind of node needs from the whole. */
export interface Compilation {
  readonly source: string
  compile(node: Node): Evaluate
  /** The expression can never work. */
  bad(node: acorn.Node, message: string): ServiceError
  /** It did not work this time. */
  failed(node: acorn.Node, message: string): ServiceError
  /** Runs an operation, and says where it stood when it fails. */
  at<Result>(node: acorn.Node, operation: () => Result): Result
}

export function compilation(source: string, compile: (node: Node) => Evaluate): Compilation {
  return {
    source,
    compile,
    bad: (node, message) => badExpression(source, node.start, message),
    failed: (node, message) => expressionFailed(source, node.start, message),
    at(node, operation) {
      try {
        return operation()
      } catch (error) {
        throw error instanceof OperandFault ? expressionFailed(source, node.start, error.message) : error
      }
    },
  }
}
