import { asData, type Data, ownItems, ownMembers } from './own-data.ts'
import { OperandFault, type Run } from './run.ts'

const deepest = 64
const longestList = 524_288

/**
 * A copy of a result that shares nothing with what it was made from: ordinary objects and arrays, members that are
 * undefined left out, items that are undefined null. Throws OperandFault for what is too large, nested too deeply, or
 * has no JSON.
 */
export function plainData(value: unknown, run: Run): unknown {
  return copy(asData(value), deepest)

  function copy(data: Data, depthLeft: number): unknown {
    run.spend({ characters: typeof data === 'string' ? data.length : 0, values: 1 })
    if (typeof data === 'number') return finite(data)
    if (typeof data !== 'object' || data === null) return data
    if (depthLeft === 0) throw new OperandFault(`a result is nested at most ${deepest} deep`)
    if (Array.isArray(data)) {
      if (data.length > longestList) throw new OperandFault(`a result has lists of at most ${longestList} items`)
      return ownItems(data).map((item) => copy(item, depthLeft - 1) ?? null)
    }
    const members: Record<string, unknown> = {}
    for (const [name, member] of ownMembers(data)) {
      if (name === '__proto__') throw new OperandFault('the result holds a member named "__proto__"')
      if (member === undefined) continue
      run.spend({ characters: name.length })
      members[name] = copy(member, depthLeft - 1)
    }
    return members
  }
}

/** JSON knows one zero, and no number that is not finite. */
function finite(value: number): number {
  if (!Number.isFinite(value)) throw new OperandFault('the result holds a number that is not finite')
  return value === 0 ? 0 : value
}
