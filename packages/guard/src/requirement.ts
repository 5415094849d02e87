import { isScopeToken } from '@countersign/tokens'
import type { Caller } from './caller.ts'
import { GuardConfigurationError } from './guard-error.ts'

/** What a route asks of its caller. Nothing given: to be somebody. */
export interface Requirement {
  /** All of these. */
  readonly scopes?: readonly string[]
  /** At least one of these. */
  readonly anyScope?: readonly string[]
  /**
   * `required`: only a service token will do. `accepted`: it counts where it is present, else an access token is asked
   * for. `ignored`: it is not looked at. Default `required` where the guard knows service tokens alone, else `accepted`.
   */
  readonly serviceToken?: ServiceTokenMode
}

export type ServiceTokenMode = 'required' | 'accepted' | 'ignored'

/** The scopes that `caller` lacks, as they must be named to him; empty when he may pass. */
export function lackingScopes(requirement: Requirement, caller: Caller): readonly string[] {
  const { scopes = [], anyScope } = requirement
  for (const scope of scopes) if (!caller.scopes.includes(scope)) return scopesOf(requirement)
  if (anyScope !== undefined && !anyScope.some((scope) => caller.scopes.includes(scope))) return scopesOf(requirement)
  return []
}

/** Every scope that the requirement names, for challenges. */
export function scopesOf(requirement: Requirement): readonly string[] {
  return [...new Set([...(requirement.scopes ?? []), ...(requirement.anyScope ?? [])])]
}

/**
 * Refuses a requirement that would open more than was meant: a misspelt member, an empty `anyScope`, a string where
 * a list is due. Throws GuardConfigurationError. Each object is looked at once.
 */
export function checkRequirement(requirement: Requirement): void {
  if (checked.has(requirement)) return
  for (const [name, value] of Object.entries(requirement)) {
    if (name !== 'scopes' && name !== 'anyScope' && name !== 'serviceToken') {
      throw new GuardConfigurationError(
        `a requirement has "scopes", "anyScope" and "serviceToken"; "${name}" is neither`,
      )
    }
    if (value === undefined) continue
    if (name === 'serviceToken') {
      checkMode(value)
      continue
    }
    if (!Array.isArray(value) || !value.every((scope) => typeof scope === 'string' && isScopeToken(scope))) {
      throw new GuardConfigurationError(`"${name}" must be a list of scopes, each one word without spaces or quotes`)
    }
  }
  if (requirement.anyScope?.length === 0) {
    throw new GuardConfigurationError(
      '"anyScope" is empty, so that nobody could pass; leave it out to ask for no scope',
    )
  }
  checked.add(requirement)
}

const checked = new WeakSet<Requirement>()

function checkMode(value: unknown): void {
  if (value === 'required' || value === 'accepted' || value === 'ignored') return
  throw new GuardConfigurationError('"serviceToken" must be "required", "accepted" or "ignored"')
}
