import type * as acorn from 'acorn'
import type { Compilation, Node } from './compilation.ts'
import { type Data, isDeniedName, ownMember } from './own-data.ts'
import type { Evaluate, Run } from './run.ts'

/** Given back within a chain of `?.` that has met what is missing. */
const cutShort = Symbol('cut short')

type Link = (run: Run) => Data | typeof cutShort

export function member(node: acorn.MemberExpression, within: Compilation): Evaluate {
  const holder: Link = within.compile(node.object)
  const key = memberName(node.property, node.computed, within)
  const link: Link = (run) => {
    const value = holder(run)
    if (value === cutShort) return cutShort
    if (value === undefined || value === null) {
      if (node.optional) return cutShort
      throw within.failed(node.property, `${described(node.object, within)} is ${value}; read it with ?. if it may be`)
    }
    return ownMember(value, key(run))
  }
  // Only chain() sees the symbol: the parser puts a ChainExpression around everything that holds a `?.`.
  return link as Evaluate
}

export function chain(node: acorn.ChainExpression, within: Compilation): Evaluate {
  const link: Link = within.compile(node.expression)
  return (run) => {
    const value = link(run)
    return value === cutShort ? undefined : value
  }
}

/** The name of a member, written out or worked out. */
export function memberName(node: Node, computed: boolean, within: Compilation): (run: Run) => string {
  const written = writtenName(node, computed)
  if (written !== undefined) {
    if (isDeniedName(written)) throw within.bad(node, denied(written))
    return () => written
  }
  const evaluate = within.compile(node)
  return (run) => {
    const value = evaluate(run)
    if (typeof value !== 'string' && typeof value !== 'number') {
      throw within.failed(node, 'a member is named by a text or a number')
    }
    const name = String(value)
    if (isDeniedName(name)) throw within.failed(node, denied(name))
    return name
  }
}

function writtenName(node: Node, computed: boolean): string | undefined {
  if (!computed && node.type === 'Identifier') return node.name
  if (node.type !== 'Literal' || node.regex || node.bigint) return undefined
  return typeof node.value === 'string' || typeof node.value === 'number' ? String(node.value) : undefined
}

function denied(name: string): string {
  return `"${name}" is refused, because expressions read nothing but data`
}

/** What the source says, where that is no more than names; a text in it may be a secret. */
function described(node: Node, within: Compilation): string {
  const text = within.source.slice(node.start, node.end)
  return /^this[\w.?]*$/.test(text) ? text : 'what stands before this'
}
