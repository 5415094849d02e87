import { type Compilation, compilation, type Node } from './compilation.ts'
import { array, literal, name, object, template } from './compile-literals.ts'
import { chain, member } from './compile-members.ts'
import { binary, conditional, logical, unary } from './compile-operations.ts'
import { asData } from './own-data.ts'
import type { Evaluate } from './run.ts'

type Compilers = {
  readonly [Type in Node['type']]?: (node: Extract<Node, { type: Type }>, within: Compilation) => Evaluate
}

/** All that an expression can hold. */
const compilers: Compilers = {
  ThisExpression: () => (run) => asData(run.root),
  Literal: literal,
  Identifier: name,
  ParenthesizedExpression: (node, within) => within.compile(node.expression),
  ObjectExpression: object,
  ArrayExpression: array,
  TemplateLiteral: template,
  MemberExpression: member,
  ChainExpression: chain,
  UnaryExpression: unary,
  BinaryExpression: binary,
  LogicalExpression: logical,
  ConditionalExpression: conditional,
}

/** Why the rest is refused. */
const refusals: { readonly [Type in Node['type']]?: string } = {
  CallExpression: 'an expression cannot call anything',
  TaggedTemplateExpression: 'an expression cannot call anything, not even by a template',
  NewExpression: 'an expression cannot make anything with "new"',
  ImportExpression: 'an expression cannot import anything',
  AssignmentExpression: 'an expression cannot assign; to compare, write ===',
  UpdateExpression: 'an expression cannot assign',
  FunctionExpression: 'an expression cannot hold a function',
  ArrowFunctionExpression: 'an expression cannot hold a function',
  ClassExpression: 'an expression cannot hold a class',
  SequenceExpression: 'an expression is one value, so no comma stands here',
}

const deepest = 256

/**
 * Turns a syntax tree into a function of the context.
 * @throws ServiceError `bad_expression` for every kind of node that is not on the list
 */
export function compileNode(root: Node, source: string): Evaluate {
  let depth = 0
  const within = compilation(source, compile)
  return compile(root)

  function compile(node: Node): Evaluate {
    const compiler = compilers[node.type] as ((node: Node, within: Compilation) => Evaluate) | undefined
    if (compiler === undefined) throw within.bad(node, refusals[node.type] ?? 'an expression cannot hold this')
    if (depth === deepest) throw within.bad(node, `an expression is nested at most ${deepest} deep`)
    depth += 1
    const evaluate = compiler(node, within)
    depth -= 1
    return evaluate
  }
}
