import type * as acorn from 'acorn'
import { badExpression, expressionFailed } from './faults.ts'
import { binaryOperators, joined, OperandFault, unaryOperators } from './operators.ts'
import { asData, type Data, isDeniedName, ownMember, ownMembers } from './own-data.ts'

/** Works out a value; `root` is what `this` stands for. */
export type Evaluate = (root: object) => Data

type Node = acorn.Expression | acorn.TemplateElement | acorn.SpreadElement | acorn.PrivateIdentifier | acorn.Super

type Compilers = {
  [Type in Node['type']]?: (node: Extract<Node, { type: Type }>, source: string, depthLeft: number) => Evaluate
}

const deepest = 256

/** Turns a syntax tree into a function of the context. Throws `bad_expression` for every kind of node not listed. */
export function compileNode(node: Node, source: string, depthLeft = deepest): Evaluate {
  if (depthLeft === 0) throw badExpression(source, node.start, 'the expression is nested too deeply')
  const compile = compilers[node.type] as ((node: Node, source: string, depthLeft: number) => Evaluate) | undefined
  if (compile === undefined) throw badExpression(source, node.start, refusals[node.type] ?? 'this is not allowed here')
  return compile(node, source, depthLeft - 1)
}

/** All that an expression can hold. */
const compilers: Compilers = {
  ThisExpression: () => asData,
  Literal: literal,
  Identifier: name,
  ParenthesizedExpression: (node, source, depthLeft) => compileNode(node.expression, source, depthLeft),
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

const refusals: { readonly [type: string]: string } = {
  CallExpression: 'an expression cannot call anything',
  ImportExpression: 'an expression cannot import anything',
  NewExpression: 'an expression cannot make anything with new',
  AssignmentExpression: 'an expression cannot assign',
  UpdateExpression: 'an expression cannot assign',
  FunctionExpression: 'an expression cannot hold a function',
  ArrowFunctionExpression: 'an expression cannot hold a function',
  ClassExpression: 'an expression cannot hold a class',
  SequenceExpression: 'an expression is one value; the comma is not expected here',
  TaggedTemplateExpression: 'an expression cannot call anything, a template tag neither',
  SpreadElement: 'only objects and arrays can be spread',
}

function literal(node: acorn.Literal, source: string): Evaluate {
  const { value } = node
  if (node.regex) throw badExpression(source, node.start, 'an expression cannot hold a regular expression')
  if (typeof value === 'bigint') throw badExpression(source, node.start, 'JSON has no big integers; leave out the n')
  if (value === Number.POSITIVE_INFINITY) throw badExpression(source, node.start, 'the number is too large')
  return () => value as Data
}

function name(node: acorn.Identifier, source: string): Evaluate {
  if (node.name === 'undefined') return () => undefined
  throw badExpression(
    source,
    node.start,
    `"${node.name}" is not known; write this.${node.name} for the context's, or '${node.name}' for the text`,
  )
}

function object(node: acorn.ObjectExpression, source: string, depthLeft: number): Evaluate {
  const parts = node.properties.map((part): ((root: object, members: Record<string, Data>) => void) => {
    if (part.type === 'SpreadElement') return spreadMembers(part, source, depthLeft)
    if (part.kind !== 'init' || part.method) {
      throw badExpression(source, part.start, 'an expression cannot hold a function')
    }
    const key = memberName(part, part.key, source, depthLeft)
    const value = compileNode(part.value, source, depthLeft)
    return (root, members) => {
      members[key(root)] = value(root)
    }
  })
  return (root) => {
    const members: Record<string, Data> = {}
    for (const part of parts) part(root, members)
    return members
  }
}

function spreadMembers(node: acorn.SpreadElement, source: string, depthLeft: number) {
  const argument = compileNode(node.argument, source, depthLeft)
  return (root: object, members: Record<string, Data>) => {
    const value = argument(root)
    if (value === undefined || value === null) return
    if (typeof value !== 'object') throw expressionFailed(source, node.start, `only an object can be spread here`)
    for (const [key, item] of ownMembers(value)) {
      if (isDeniedName(key)) throw expressionFailed(source, node.start, `what is spread holds a member named "${key}"`)
      members[key] = item
    }
  }
}

function array(node: acorn.ArrayExpression, source: string, depthLeft: number): Evaluate {
  const parts = node.elements.map((part): ((root: object) => readonly Data[]) => {
    if (part === null) throw badExpression(source, node.start, 'the array leaves out an item; write null')
    if (part.type !== 'SpreadElement') {
      const item = compileNode(part, source, depthLeft)
      return (root) => [item(root)]
    }
    const items = compileNode(part.argument, source, depthLeft)
    return (root) => {
      const value = items(root)
      if (!Array.isArray(value)) throw expressionFailed(source, part.start, 'only an array can be spread here')
      return value.map(asData)
    }
  })
  return (root) => parts.flatMap((part) => part(root))
}

function template(node: acorn.TemplateLiteral, source: string, depthLeft: number): Evaluate {
  const texts = node.quasis.map(({ value }) => value.cooked ?? '')
  const parts = node.expressions.map((part) => ({
    start: part.start,
    value: compileNode(part, source, depthLeft),
  }))
  return (root) =>
    guarded(source, parts[0]?.start ?? node.start, () =>
      joined(texts.flatMap((text, index) => (index === 0 ? [text] : [parts[index - 1]?.value(root), text]))),
    )
}

/** Says that a chain of `?.` has met what is missing. */
const cutShort: unique symbol = Symbol('cut short')

function member(node: acorn.MemberExpression, source: string, depthLeft: number): Evaluate {
  const holder = compileNode(node.object, source, depthLeft) as (root: object) => Data | typeof cutShort
  const key = memberName(node, node.property, source, depthLeft)
  return (root) => {
    const value = holder(root)
    if (value === cutShort) return value as unknown as Data
    if (value === undefined || value === null) {
      if (node.optional) return cutShort as unknown as Data
      const what = source.slice(node.object.start, node.object.end)
      throw expressionFailed(source, node.start, `${what} is ${value}; write ?. behind it if it may be missing`)
    }
    return ownMember(value, key(root))
  }
}

function chain(node: acorn.ChainExpression, source: string, depthLeft: number): Evaluate {
  const value = compileNode(node.expression, source, depthLeft) as (root: object) => Data | typeof cutShort
  return (root) => {
    const found = value(root)
    return found === cutShort ? undefined : found
  }
}

/** The name of a member, whether it is written out or worked out. */
function memberName(
  holder: { readonly computed: boolean },
  node: acorn.Expression | acorn.PrivateIdentifier,
  source: string,
  depthLeft: number,
): (root: object) => string {
  if (!holder.computed && node.type === 'Identifier') return fixed(node.name)
  if (node.type === 'Literal' && (typeof node.value === 'string' || typeof node.value === 'number')) {
    return fixed(String(node.value))
  }
  const computed = compileNode(node, source, depthLeft)
  return (root) => {
    const value = computed(root)
    if (typeof value !== 'string' && typeof value !== 'number') {
      throw expressionFailed(source, node.start, 'the name of a member must be text or a number')
    }
    if (isDeniedName(String(value))) throw expressionFailed(source, node.start, deniedSentence(String(value)))
    return String(value)
  }

  function fixed(name: string) {
    if (isDeniedName(name)) throw badExpression(source, node.start, deniedSentence(name))
    return () => name
  }
}

function deniedSentence(name: string): string {
  return `"${name}" is refused: an expression reads data only`
}

function unary(node: acorn.UnaryExpression, source: string, depthLeft: number): Evaluate {
  const operate = unaryOperators[node.operator]
  if (operate === undefined) throw badExpression(source, node.start, `there is no operator "${node.operator}" here`)
  const operand = compileNode(node.argument, source, depthLeft)
  return (root) => {
    const value = operand(root)
    return guarded(source, node.start, () => operate(value))
  }
}

function binary(node: acorn.BinaryExpression, source: string, depthLeft: number): Evaluate {
  const operate = binaryOperators[node.operator]
  if (operate === undefined) throw badExpression(source, node.start, `there is no operator "${node.operator}" here`)
  const left = compileNode(node.left, source, depthLeft)
  const right = compileNode(node.right, source, depthLeft)
  return (root) => {
    const values = [left(root), right(root)] as const
    const result = guarded(source, node.start, () => operate(...values))
    if (typeof result === 'number' && !Number.isFinite(result)) {
      throw expressionFailed(source, node.start, 'the result is not a finite number')
    }
    return result
  }
}

function logical(node: acorn.LogicalExpression, source: string, depthLeft: number): Evaluate {
  const left = compileNode(node.left, source, depthLeft)
  const right = compileNode(node.right, source, depthLeft)
  switch (node.operator) {
    case '&&':
      return (root) => left(root) && right(root)
    case '||':
      return (root) => left(root) || right(root)
    case '??':
      return (root) => left(root) ?? right(root)
  }
}

function conditional(node: acorn.ConditionalExpression, source: string, depthLeft: number): Evaluate {
  const test = compileNode(node.test, source, depthLeft)
  const yes = compileNode(node.consequent, source, depthLeft)
  const no = compileNode(node.alternate, source, depthLeft)
  return (root) => (test(root) ? yes(root) : no(root))
}

function guarded(source: string, offset: number, work: () => Data): Data {
  try {
    return work()
  } catch (error) {
    if (error instanceof OperandFault) throw expressionFailed(source, offset, error.message)
    throw error
  }
}
