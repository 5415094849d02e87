import { compileNode } from '../expressions/compile-node.ts'
import { compileText } from '../expressions/compile-text.ts'
import { type Expression, toExpression } from '../expressions/expression.ts'
import type { Data } from '../expressions/own-data.ts'
import { parseExpression } from '../expressions/parse-expression.ts'
import type { Evaluate } from '../expressions/run.ts'
import { ServiceError } from '../service-error.ts'

/** Where in a value something is wrong, counted from the value. */
export type Path = readonly (string | number)[]

/** Told of everything that is wrong with a value; what was compiled is then not used. */
export type Report = (path: Path, fault: string | ServiceError) => void

/** A text is an expression. Anything else is read member by member, and the texts in it stand for themselves. */
export function compileValue(given: unknown, report: Report): Expression {
  if (typeof given !== 'string') return compileMembers(given, report)
  return toExpression(
    given,
    reporting([], report, () => compileNode(parseExpression(given), given)),
  )
}

/** A value that is written out, such as `{ "type": "order", "id": "this.id" }`. */
export function compileMembers(given: unknown, report: Report): Expression {
  return toExpression(typeof given === 'string' ? given : sourceOf(given), membersOf(given, [], report))
}

const deepest = 32

function membersOf(given: unknown, path: Path, report: Report): Evaluate {
  if (typeof given === 'string') return reporting(path, report, () => compileText(given))
  if (typeof given !== 'object' || given === null) return () => given as Data
  if (path.length === deepest) {
    report(path, `a value is nested at most ${deepest} deep`)
    return () => null
  }
  if (Array.isArray(given)) {
    const items = given.map((item, index) => membersOf(item, [...path, index], report))
    return (run) => items.map((item) => item(run))
  }
  const members = Object.entries(given).map(([name, value]) => {
    if (name === '__proto__') report([...path, name], 'a member cannot have this name')
    return [name, membersOf(value, [...path, name], report)] as const
  })
  return (run) => Object.fromEntries(members.map(([name, value]) => [name, value(run)]))
}

/** Compiles, and gives back what does nothing when it cannot be done. */
export function reporting(path: Path, report: Report, compile: () => Evaluate): Evaluate {
  try {
    return compile()
  } catch (error) {
    if (!(error instanceof ServiceError)) throw error
    report(path, error)
    return () => undefined
  }
}

function sourceOf(given: unknown): string {
  try {
    return JSON.stringify(given) ?? 'undefined'
  } catch {
    return 'a value that holds itself'
  }
}
