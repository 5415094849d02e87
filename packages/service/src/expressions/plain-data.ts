import { ServiceError } from '../service-error.ts'
import { asData, type Data, ownMembers } from './own-data.ts'

const deepest = 64
const largest = 4_194_304
/** What a value counts for besides its characters. */
const valueSize = 8

/**
 * A copy of a result that shares nothing with what it was made from: ordinary objects and arrays, members that are
 * undefined left out, items that are undefined null. Refuses what is too large or nested too deeply.
 */
export function plainData(value: unknown): unknown {
  let size = 0
  return copy(asData(value), deepest)

  function copy(data: Data, depthLeft: number): unknown {
    size += valueSize + (typeof data === 'string' ? data.length : 0)
    if (size > largest) throw refused(`the result is larger than ${largest} characters`)
    if (typeof data === 'number' && !Number.isFinite(data))
      throw refused('the result holds a number that is not finite')
    if (typeof data !== 'object' || data === null) return data
    if (depthLeft === 0) throw refused(`the result is nested more than ${deepest} deep`)
    if (Array.isArray(data)) return Array.from(data, (item) => copy(asData(item), depthLeft - 1) ?? null)
    const members: Record<string, unknown> = {}
    for (const [name, member] of ownMembers(data)) {
      if (name === '__proto__') throw refused('the result holds a member named "__proto__"')
      if (member === undefined) continue
      size += name.length
      members[name] = copy(member, depthLeft - 1)
    }
    return members
  }
}

function refused(why: string): ServiceError {
  return new ServiceError('expression_failed', why)
}
