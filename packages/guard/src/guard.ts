import { type VerifiedToken, verifyAccessToken } from './access-token.ts'
import { findBearerToken, type RequestLike } from './bearer-token.ts'
import type { Caller } from './caller.ts'
import { GuardError } from './guard-error.ts'
import { type GuardOptions, readGuardOptions } from './guard-options.ts'
import { type Refusal, Refused, refusalOf, revocationsUnknown, revokedToken } from './refusal.ts'
import { checkRequirement, lackingScopes, type Requirement, scopesOf } from './requirement.ts'

export interface Guard {
  /**
   * The caller behind a request, when he meets the requirement. Answers at once when the token is known or its key at
   * hand, and with a promise otherwise: use `await`. Throws or rejects with GuardError: `missing_credential`,
   * `invalid_request`, `invalid_token`, `insufficient_scope`, `unavailable`.
   */
  verify(request: RequestLike, requirement?: Requirement): Caller | Promise<Caller>
  /** The same for a bare access token, wherever it came from. */
  verifyToken(token: string): Caller | Promise<Caller>
  /** Stops following revocations. */
  close(): Promise<void>
}

/**
 * Creates the guard of an API: it verifies RFC 9068 access tokens of the issuers it trusts, made for its audience.
 * Throws GuardConfigurationError when the options cannot be safe.
 */
export function createGuard(options: GuardOptions): Guard {
  const { rules, realm, known, revocations, now, onAccept, onRefusal } = readGuardOptions(options)
  revocations?.start()

  return {
    verify(request, requirement = anybody) {
      checkRequirement(requirement)
      const token = findBearerToken(request)
      if (typeof token !== 'string') return refuse(token, requirement, request)
      return settle(
        () => verified(token),
        ({ caller }) => admit(caller, requirement, request),
        (error) => refuse(refusalOf(error), requirement, request),
      )
    },
    verifyToken(token) {
      return settle(
        () => verified(token),
        ({ caller }) => admit(caller, anybody),
        (error) => refuse(refusalOf(error), anybody),
      )
    },
    async close() {
      known.clear()
      await revocations?.stop()
    },
  }

  /** A remembered token spares the signature, and nothing else: revocation and scopes are looked at every time. */
  function verified(token: string): VerifiedToken | Promise<VerifiedToken> {
    const remembered = known.get(token, now())
    if (remembered !== undefined) return unlessRevoked(remembered)
    const fresh = verifyAccessToken(token, rules, now)
    return fresh instanceof Promise ? fresh.then((late) => remember(token, late)) : remember(token, fresh)
  }

  function remember(token: string, fresh: VerifiedToken): VerifiedToken | Promise<VerifiedToken> {
    known.set(token, fresh, now())
    return unlessRevoked(fresh)
  }

  function unlessRevoked(token: VerifiedToken): VerifiedToken | Promise<VerifiedToken> {
    if (revocations === undefined) return token
    const current = revocations.isCurrent?.() ?? true
    return typeof current === 'boolean' ? decide(current) : current.then(decide)

    function decide(isCurrent: boolean): VerifiedToken {
      if (!isCurrent) throw new Refused(revocationsUnknown)
      if (revocations!.isRevoked(token.revocable)) throw new Refused(revokedToken)
      return token
    }
  }

  function admit(caller: Caller, requirement: Requirement, request?: RequestLike): Caller {
    const lacking = lackingScopes(requirement, caller)
    if (lacking.length > 0) return refuse(insufficientScope(lacking), requirement, request, caller)
    if (onAccept !== undefined) tell(() => onAccept({ caller, request }))
    return caller
  }

  function refuse(refusal: Refusal, requirement: Requirement, request?: RequestLike, caller?: Caller): never {
    const error = new GuardError({ ...refusal, realm, scopes: scopesOf(requirement) })
    if (onRefusal !== undefined) tell(() => onRefusal({ error, caller, request }))
    throw error
  }
}

const anybody: Requirement = {}

function insufficientScope(scopes: readonly string[]): Refusal {
  return {
    code: 'insufficient_scope',
    reason: 'insufficient_scope',
    message: `The access token lacks a scope that is needed here: ${scopes.join(' ')}`,
  }
}

/** Goes on at once where the work is done at once, so that a known token costs no turn of the event loop. */
function settle<T, R>(
  work: () => T | Promise<T>,
  onValue: (value: T) => R,
  onError: (error: unknown) => R,
): R | Promise<R> {
  let outcome: T | Promise<T>
  try {
    outcome = work()
  } catch (error) {
    return onError(error)
  }
  return outcome instanceof Promise ? outcome.then(onValue, onError) : onValue(outcome)
}

/** Whoever listens cannot change the decision, not even by throwing. */
function tell(listener: () => void): void {
  try {
    listener()
  } catch {
    // What went wrong in there is the listener's to report.
  }
}
