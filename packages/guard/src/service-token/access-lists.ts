import { GuardConfigurationError } from '../guard-error.ts'
import { configuredName } from './configured-name.ts'

export interface AccessLists {
  /** Senders that are refused. With one in it, the allow list is not looked at. */
  readonly blockList?: readonly string[]
  /** The only senders that pass; an empty one lets nobody pass. Left out: no such list. */
  readonly allowList?: readonly string[] | undefined
  /** Default true. False leaves both lists off, as outside of staging and production. */
  readonly enforceLists?: boolean
}

/**
 * Adds lists up, such as those of the environment and of a document: a sender in one is in the sum, and an allow list is
 * defined if it is in one of them. They are enforced unless one of them says that they are not.
 */
export function mergeAccessLists(...lists: readonly AccessLists[]): AccessLists {
  const allowLists = lists.flatMap(({ allowList }) => (allowList === undefined ? [] : [allowList]))
  return {
    blockList: [...new Set(lists.flatMap(({ blockList = [] }) => blockList))],
    allowList: allowLists.length === 0 ? undefined : [...new Set(allowLists.flat())],
    enforceLists: lists.every(({ enforceLists = true }) => enforceLists),
  }
}

/** Why the sender may not pass, in the words of the contract; undefined when he may. */
export type AccessDecision = (sender: string) => string | undefined

/** Throws GuardConfigurationError for an entry that no sender can be called. */
export function createAccessDecision({ blockList = [], allowList, enforceLists = true }: AccessLists): AccessDecision {
  const blocked = fullNames(blockList, 'blockList')
  const allowed = allowList === undefined ? undefined : fullNames(allowList, 'allowList')
  if (!enforceLists) return () => undefined
  return (sender) => {
    if (blocked.size > 0) {
      return blocked.has(sender) ? `M2M token sender '${sender}' is in the M2M block list` : undefined
    }
    if (allowed === undefined || allowed.has(sender)) return undefined
    return `M2M token sender '${sender}' is not in the allowed M2M clients list`
  }
}

function fullNames(entries: readonly string[], list: string): ReadonlySet<string> {
  if (!Array.isArray(entries)) throw new GuardConfigurationError(`"${list}" must be a list of services`)
  return new Set(
    entries.map((entry: unknown) => {
      if (typeof entry !== 'string') throw new GuardConfigurationError(`"${list}" must be a list of services' names`)
      return configuredName(entry, `"${list}"`)
    }),
  )
}
