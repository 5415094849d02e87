import { type Position, ServiceError } from '../service-error.ts'

/** The expression can never work: found at start. */
export function badExpression(source: string, offset: number, message: string): ServiceError {
  const position = positionAt(source, offset)
  return new ServiceError('bad_expression', `line ${position.line}, column ${position.column}: ${message}`, {
    position,
  })
}

/** The expression did not work with this context. */
export function expressionFailed(source: string, offset: number, message: string): ServiceError {
  const position = positionAt(source, offset)
  return new ServiceError('expression_failed', `line ${position.line}, column ${position.column}: ${message}`, {
    position,
  })
}

/** Line and column of an offset into the source. */
export function positionAt(source: string, offset: number): Position {
  const before = source.slice(0, offset).split(/\r\n|[\n\r\u2028\u2029]/)
  return { line: before.length, column: (before.at(-1) ?? '').length + 1 }
}
