import type * as acorn from 'acorn'
import type { Compilation } from './compilation.ts'
import { memberName } from './compile-members.ts'
import { joined } from './operators.ts'
import { type Data, isDeniedName, ownItems, ownMembers } from './own-data.ts'
import type { Evaluate, Run } from './run.ts'

export function literal(node: acorn.Literal, within: Compilation): Evaluate {
  const { value } = node
  if (node.regex) throw within.bad(node, 'an expression cannot hold a regular expression')
  if (typeof value === 'bigint') throw within.bad(node, 'JSON has no big integers; leave out the "n"')
  if (value === Number.POSITIVE_INFINITY) throw within.bad(node, 'the number is too large')
  return () => value as Data
}

export function name(node: acorn.Identifier, within: Compilation): Evaluate {
  if (node.name === 'undefined') return () => undefined
  throw within.bad(
    node,
    `"${node.name}" is not known; write this.${node.name} for the member of the context, '${node.name}' for the text`,
  )
}

export function object(node: acorn.ObjectExpression, within: Compilation): Evaluate {
  const parts = node.properties.map((part) =>
    part.type === 'SpreadElement' ? spreadMembers(part, within) : oneMember(part, within),
  )
  return (run) => {
    const members: Members = {}
    for (const addTo of parts) addTo(members, run)
    return members
  }
}

type Members = Record<string, Data>

function oneMember(node: acorn.Property, within: Compilation): (members: Members, run: Run) => void {
  if (node.kind !== 'init' || node.method) throw within.bad(node, 'an expression cannot hold a function')
  const key = memberName(node.key, node.computed, within)
  const value = within.compile(node.value)
  return (members, run) => {
    members[key(run)] = value(run)
  }
}

function spreadMembers(node: acorn.SpreadElement, within: Compilation): (members: Members, run: Run) => void {
  const argument = within.compile(node.argument)
  return (members, run) => {
    const value = argument(run)
    if (value === undefined || value === null) return
    if (typeof value !== 'object' || Array.isArray(value))
      throw within.failed(node, 'only an object can be spread here')
    const added = ownMembers(value)
    within.at(node, () => run.spend({ values: added.length }))
    for (const [key, item] of added) {
      if (isDeniedName(key)) throw within.failed(node, `what is spread here holds a member named "${key}"`)
      members[key] = item
    }
  }
}

export function array(node: acorn.ArrayExpression, within: Compilation): Evaluate {
  const parts = node.elements.map((part): ((run: Run) => readonly Data[]) => {
    if (part === null) throw within.bad(node, 'the array leaves out an item; write null for it')
    if (part.type === 'SpreadElement') return spreadItems(part, within)
    const item = within.compile(part)
    return (run) => [item(run)]
  })
  return (run) => parts.flatMap((part) => part(run))
}

function spreadItems(node: acorn.SpreadElement, within: Compilation): (run: Run) => readonly Data[] {
  const argument = within.compile(node.argument)
  return (run) => {
    const value = argument(run)
    if (!Array.isArray(value)) throw within.failed(node, 'only an array can be spread here')
    within.at(node, () => run.spend({ values: value.length }))
    return ownItems(value)
  }
}

export function template(node: acorn.TemplateLiteral, within: Compilation): Evaluate {
  const texts = node.quasis.map(({ value }) => value.cooked ?? '')
  const values = node.expressions.map((part) => within.compile(part))
  return (run) => {
    const parts = texts.flatMap((text, index) => [text, ...values.slice(index, index + 1).map((value) => value(run))])
    return within.at(node, () => joined(parts, run))
  }
}
