import { type VerifiedToken, verifyAccessToken } from './access-token.ts'
import { type CarrierFault, findBearerToken, type RequestLike } from './bearer-token.ts'
import type { Caller } from './caller.ts'
import { GuardConfigurationError, GuardError } from './guard-error.ts'
import { type GuardOptions, readGuardOptions } from './guard-options.ts'
import { type Refusal, Refused, refusalOf, revocationsUnknown, revokedToken } from './refusal.ts'
import { checkRequirement, lackingScopes, type Requirement, scopesOf } from './requirement.ts'
import { findServiceToken } from './service-token/find-service-token.ts'
import { describeRequest } from './service-token/request-call.ts'
import type { ServiceTokenVerifier } from './service-token/service-token-verifier.ts'

export interface Guard {
  /**
   * The caller behind a request, when he meets the requirement. Answers at once when the token is known or its key at
   * hand, and with a promise otherwise: use `await`. Throws or rejects with GuardError: `missing_credential`,
   * `invalid_request`, `invalid_token`, `insufficient_scope`, `unavailable`; for service tokens `InvalidM2MToken`,
   * `RequiresM2MToken`, `body_too_large`, `body_already_read`.
   */
  verify(request: RequestLike, requirement?: Requirement): Caller | Promise<Caller>
  /** The same for a bare access token, wherever it came from. */
  verifyToken(token: string): Caller | Promise<Caller>
  /** Throws GuardConfigurationError for a requirement that is badly written or that this guard cannot check. */
  check(requirement: Requirement): void
  /** Stops following revocations. */
  close(): Promise<void>
}

/**
 * Creates the guard of an API: it verifies RFC 9068 access tokens of the issuers it trusts, made for its audience, and
 * with `serviceTokens` the request-bound tokens of other services.
 * Throws GuardConfigurationError when the options cannot be safe.
 */
export function createGuard(options: GuardOptions): Guard {
  const { rules, realm, known, revocations, serviceTokens, now, onAccept, onRefusal } = readGuardOptions(options)
  const takesAccessTokens = rules.issuers.size > 0
  revocations?.start()

  return {
    verify(request, requirement = anybody) {
      check(requirement)
      if (serviceTokens === undefined || requirement.serviceToken === 'ignored')
        return byAccessToken(request, requirement)
      return byServiceToken(serviceTokens, request, requirement)
    },
    check,
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

  function check(requirement: Requirement): void {
    checkRequirement(requirement)
    const { serviceToken } = requirement
    if (serviceTokens === undefined && (serviceToken === 'required' || serviceToken === 'accepted')) {
      throw new GuardConfigurationError(`"serviceToken: ${serviceToken}" needs a guard that was given "serviceTokens"`)
    }
    if (!takesAccessTokens && (serviceToken === 'ignored' || serviceToken === 'accepted')) {
      throw new GuardConfigurationError(
        `"serviceToken: ${serviceToken}" leaves nothing to check: this guard was given no "issuer" of access tokens`,
      )
    }
  }

  function byAccessToken(request: RequestLike, requirement: Requirement): Caller | Promise<Caller> {
    const token = findBearerToken(request)
    if (typeof token !== 'string') return refuse(token, requirement, request)
    return settle(
      () => verified(token),
      ({ caller }) => admit(caller, requirement, request),
      (error) => refuse(refusalOf(error), requirement, request),
    )
  }

  function byServiceToken(
    verifier: ServiceTokenVerifier,
    request: RequestLike,
    requirement: Requirement,
  ): Caller | Promise<Caller> {
    const token = findServiceToken(request)
    if (token === undefined) {
      if (takesAccessTokens && requirement.serviceToken !== 'required') return byAccessToken(request, requirement)
      return refuse(requiresServiceToken, requirement, request)
    }
    return checkAllThatIsThere(verifier, token, request, requirement)
  }

  /** What is present and wrong is refused, whatever else is present and right; the service token says who calls. */
  async function checkAllThatIsThere(
    verifier: ServiceTokenVerifier,
    token: string | CarrierFault,
    request: RequestLike,
    requirement: Requirement,
  ): Promise<Caller> {
    if (takesAccessTokens) await checkAccessToken(request, requirement)
    let caller: Caller
    try {
      if (typeof token !== 'string') throw verifier.refuse(describeRequest(request), 'malformed', token.message)
      caller = await verifier.verifyRequest(token, request)
    } catch (error) {
      return reject(error as GuardError, request)
    }
    return admit(caller, requirement, request)
  }

  async function checkAccessToken(request: RequestLike, requirement: Requirement): Promise<void> {
    const bearer = findBearerToken(request)
    if (typeof bearer !== 'string') {
      if (bearer.reason === 'missing_credential') return
      return refuse(bearer, requirement, request)
    }
    try {
      await verified(bearer)
    } catch (error) {
      refuse(refusalOf(error), requirement, request)
    }
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
    if (lacking.length > 0) return refuse(insufficientScope(lacking, caller), requirement, request, caller)
    if (onAccept !== undefined) tell(() => onAccept({ caller, request }))
    return caller
  }

  function refuse(refusal: Refusal, requirement: Requirement, request?: RequestLike, caller?: Caller): never {
    return reject(new GuardError({ ...refusal, realm, scopes: scopesOf(requirement) }), request, caller)
  }

  function reject(error: GuardError, request?: RequestLike, caller?: Caller): never {
    if (onRefusal !== undefined) tell(() => onRefusal({ error, caller, request }))
    throw error
  }
}

const anybody: Requirement = {}

function insufficientScope(scopes: readonly string[], { method }: Caller): Refusal {
  const who = method === 'access_token' ? 'The access token' : 'The caller'
  return {
    code: 'insufficient_scope',
    reason: 'insufficient_scope',
    message: `${who} lacks a scope that is needed here: ${scopes.join(' ')}`,
  }
}

const requiresServiceToken: Refusal = {
  code: 'RequiresM2MToken',
  reason: 'missing_credential',
  message: 'This resource asks for a service token in the x-m2m-token header.',
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
