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
  /**
   * The certificate of the connection. `required`: without one nobody passes. `accepted`: it suffices, and where a token came
   * too, both must name the same client. `ignored`: only a token bound to it is compared with it. Default `accepted` where the
   * guard knows other credentials too, else `required`.
   */
  readonly mtls?: CredentialMode
  /** The Bearer token, an access token or a JWT-SVID; `required` beside `mtls: 'required'` asks for both. Default `accepted`. */
  readonly bearer?: CredentialMode
}

export type CredentialMode = 'required' | 'accepted' | 'ignored'
export type ServiceTokenMode = CredentialMode

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
 * a list is due. Throws GuardConfigurationError.
 */
export function checkRequirement(requirement: Requirement): void {
  for (const [name, value] of Object.entries(requirement)) {
    const isMode = modes.includes(name)
    if (name !== 'scopes' && name !== 'anyScope' && !isMode) {
      throw new GuardConfigurationError(
        `a requirement has "scopes", "anyScope", "${modes.join('", "')}"; not "${name}"`,
      )
    }
    if (value === undefined) continue
    if (isMode) {
      checkMode(name, value)
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
}

const modes: readonly string[] = ['serviceToken', 'mtls', 'bearer']

function checkMode(name: string, value: unknown): void {
  if (value === 'required' || value === 'accepted' || value === 'ignored') return
  throw new GuardConfigurationError(`"${name}" must be "required", "accepted" or "ignored"`)
}
