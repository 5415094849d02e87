import type { VerifiedToken } from './access-token.ts'
import { type CarrierFault, findBearerToken, type RequestLike } from './bearer-token.ts'
import { createBearerVerifier } from './bearer-verifier.ts'
import type { Caller } from './caller.ts'
import { GuardConfigurationError, GuardError } from './guard-error.ts'
import { type GuardOptions, readGuardOptions } from './guard-options.ts'
import { type CertificateCheck, createCertificateCheck } from './mtls/certificate-check.ts'
import { differentClients, missingCertificate } from './mtls/certificate-refusal.ts'
import { sameClient } from './mtls/same-client.ts'
import { type Refusal, refusalOf } from './refusal.ts'
import { checkRequirement, lackingScopes, type Requirement, scopesOf } from './requirement.ts'
import { createRevocationCheck } from './revocation/revocation-check.ts'
import { findServiceToken } from './service-token/find-service-token.ts'
import { describeRequest } from './service-token/request-call.ts'
import type { ServiceTokenVerifier } from './service-token/service-token-verifier.ts'

export interface Guard {
  /**
   * The caller behind a request, when he meets the requirement. Answers at once when the token is known or its key at
   * hand, and with a promise otherwise: use `await`. Throws or rejects with GuardError: `missing_credential`,
   * `invalid_request`, `invalid_token`, `insufficient_scope`, `caller_not_allowed`, `unavailable`; for service tokens
   * `InvalidM2MToken`, `RequiresM2MToken`, `body_too_large`, `body_already_read`.
   */
  verify(request: RequestLike, requirement?: Requirement): Caller | Promise<Caller>
  /** The same for a bare Bearer token, wherever it came from. One that is bound to a certificate needs its request. */
  verifyToken(token: string): Caller | Promise<Caller>
  /** Throws GuardConfigurationError for a requirement that is badly written or that this guard cannot check. */
  check(requirement: Requirement): void
  /** Stops following revocations. */
  close(): Promise<void>
}

/**
 * Creates the guard of an API: it verifies RFC 9068 access tokens of the issuers it trusts, made for its audience; with
 * `serviceTokens` the request-bound tokens of other services, with `mtls` the certificates of connections, with `jwtSvid`
 * JWT-SVIDs.
 * Throws GuardConfigurationError when the options cannot be safe.
 */
export function createGuard(options: GuardOptions): Guard {
  const settings = readGuardOptions(options)
  const { rules, realm, known, revocations, serviceTokens, mtls, onAccept, onRefusal } = settings
  const takesBearer = rules.issuers.size > 0 || settings.jwtSvid !== undefined
  const revocationCheck = createRevocationCheck(revocations)
  const verified = createBearerVerifier(settings, revocationCheck)
  const certificates = createCertificateCheck(settings, revocationCheck)
  const checked = new WeakSet<Requirement>()
  revocations?.start()

  return {
    verify(request, requirement = anybody) {
      check(requirement)
      if (serviceTokens === undefined || requirement.serviceToken === 'ignored') return byIdentity(request, requirement)
      return byServiceToken(serviceTokens, request, requirement)
    },
    check,
    verifyToken(token) {
      return settle(
        () => verified(token),
        (found) => admitBearer(found, anybody),
        (error) => refuse(refusalOf(error), anybody),
      )
    },
    async close() {
      known.clear()
      await revocations?.stop()
    },
  }

  function check(requirement: Requirement): void {
    if (checked.has(requirement)) return
    checkRequirement(requirement)
    checkModes(requirement, {
      serviceToken: serviceTokens !== undefined,
      mtls: mtls !== undefined,
      bearer: takesBearer,
    })
    checked.add(requirement)
  }

  /** By certificate, by Bearer token, or by both. */
  function byIdentity(request: RequestLike, requirement: Requirement): Caller | Promise<Caller> {
    if (mtls === undefined || requirement.mtls === 'ignored') return byBearer(request, requirement)
    return byCertificate(request, requirement)
  }

  function byBearer(request: RequestLike, requirement: Requirement): Caller | Promise<Caller> {
    const token = findBearerToken(request)
    if (typeof token !== 'string') return refuse(token, requirement, request)
    return settle(
      () => verified(token),
      (found) => admitBearer(found, requirement, request),
      (error) => refuse(refusalOf(error), requirement, request),
    )
  }

  async function byCertificate(request: RequestLike, requirement: Requirement): Promise<Caller> {
    const found = await presented(request, requirement, certificates)
    if (found.bearer === undefined && found.certificate === undefined) {
      const isEither = takesBearer && requirement.mtls !== 'required' && requirement.bearer !== 'ignored'
      return refuse(isEither ? missingAny : missingCertificate, requirement, request)
    }
    if (requirement.mtls === 'required' && found.certificate === undefined) {
      return refuse(missingCertificate, requirement, request)
    }
    if (found.bearer === undefined) {
      if (requirement.bearer === 'required') return refuse(missingBearer, requirement, request)
      return admit(found.certificate!, requirement, request)
    }
    if (found.certificate === undefined) return admitBearer(found.bearer, requirement, request)
    return admitBoth(found.certificate, found.bearer, requirement, request)
  }

  /** What is present and wrong is refused, whatever else is present and right. */
  async function presented(
    request: RequestLike,
    requirement: Requirement,
    checkCertificate: CertificateCheck,
  ): Promise<{ certificate?: Caller; bearer?: VerifiedToken }> {
    const token = takesBearer && requirement.bearer !== 'ignored' ? findBearerToken(request) : undefined
    if (typeof token === 'object' && token.reason !== 'missing_credential') return refuse(token, requirement, request)
    try {
      const takesCertificate = mtls !== undefined && requirement.mtls !== 'ignored'
      const certificate = takesCertificate ? await checkCertificate.caller(request) : undefined
      const bearer = typeof token === 'string' ? await verified(token) : undefined
      return { certificate, bearer }
    } catch (error) {
      return refuse(refusalOf(error), requirement, request)
    }
  }

  function byServiceToken(
    verifier: ServiceTokenVerifier,
    request: RequestLike,
    requirement: Requirement,
  ): Caller | Promise<Caller> {
    const { serviceToken: carried } = request
    const token = carried === undefined ? findServiceToken(request) : undefined
    if (token !== undefined || carried?.isCarried) return checkAllThatIsThere(verifier, token, request, requirement)
    if ((takesBearer || mtls !== undefined) && requirement.serviceToken !== 'required') {
      return byIdentity(request, requirement)
    }
    return refuse(requiresServiceToken, requirement, request)
  }

  /** What is present and wrong is refused, whatever else is present and right; the service token says who calls. */
  async function checkAllThatIsThere(
    verifier: ServiceTokenVerifier,
    token: string | CarrierFault | undefined,
    request: RequestLike,
    requirement: Requirement,
  ): Promise<Caller> {
    const { certificate, bearer } = await presented(request, requirement, certificates)
    if (requirement.mtls === 'required' && certificate === undefined)
      return refuse(missingCertificate, requirement, request)
    if (requirement.bearer === 'required' && bearer === undefined) return refuse(missingBearer, requirement, request)
    if (bearer !== undefined) prove(bearer, requirement, request)
    let caller: Caller
    try {
      caller = await verifiedService(verifier, token, request)
    } catch (error) {
      return reject(error as GuardError, request)
    }
    if (mtls?.namesClients && certificate !== undefined && certificate.clientId !== caller.clientId) {
      return refuse(differentClients, requirement, request)
    }
    return admit(caller, requirement, request)
  }

  function admitBoth(
    certificate: Caller,
    bearer: VerifiedToken,
    requirement: Requirement,
    request: RequestLike,
  ): Caller {
    prove(bearer, requirement, request)
    try {
      return admit(sameClient(certificate, bearer), requirement, request)
    } catch (error) {
      if (error instanceof GuardError) throw error
      return refuse(refusalOf(error), requirement, request)
    }
  }

  function admitBearer(found: VerifiedToken, requirement: Requirement, request?: RequestLike): Caller {
    if (found.boundTo !== undefined) prove(found, requirement, request)
    return admit(found.caller, requirement, request)
  }

  /** A bound token counts only on a connection of the certificate that it is bound to (RFC 8705 section 3). */
  function prove({ boundTo }: VerifiedToken, requirement: Requirement, request?: RequestLike): void {
    if (boundTo === undefined) return
    try {
      certificates.prove(boundTo, request)
    } catch (error) {
      refuse(refusalOf(error), requirement, request)
    }
  }

  function admit(caller: Caller, requirement: Requirement, request?: RequestLike): Caller {
    const lacking = lackingScopes(requirement, caller)
    if (lacking.length > 0) return refuse(insufficientScope(lacking, caller), requirement, request, caller)
    if (onAccept !== undefined) tell(() => onAccept({ caller, request }))
    return caller
  }

  function refuse(refusal: Refusal, requirement: Requirement, request?: RequestLike, caller?: Caller): never {
    return reject(new GuardError({ ...refusal, realm, takesBearer, scopes: scopesOf(requirement) }), request, caller)
  }

  function reject(error: GuardError, request?: RequestLike, caller?: Caller): never {
    if (onRefusal !== undefined) tell(() => onRefusal({ error, caller, request }))
    throw error
  }
}

const anybody: Requirement = {}

async function verifiedService(
  verifier: ServiceTokenVerifier,
  token: string | CarrierFault | undefined,
  request: RequestLike,
): Promise<Caller> {
  if (token === undefined) return request.serviceToken!.verify(verifier)
  if (typeof token === 'string') return verifier.verifyRequest(token, request)
  throw verifier.refuse(describeRequest(request), 'malformed', token.message)
}

type Ways = Readonly<Record<'serviceToken' | 'mtls' | 'bearer', boolean>>

/** A requirement that this guard cannot check, or that leaves nothing to check, is a mistake. */
function checkModes(requirement: Requirement, knows: Ways): void {
  for (const way of ['serviceToken', 'mtls', 'bearer'] as const) {
    const mode = requirement[way]
    if (!knows[way] && (mode === 'required' || mode === 'accepted')) {
      throw new GuardConfigurationError(`"${way}: ${mode}" needs a guard that was given ${optionsOf[way]}`)
    }
  }
  const ways = (['serviceToken', 'mtls', 'bearer'] as const).filter((way) => knows[way])
  if (ways.every((way) => requirement[way] === 'ignored')) throw nothingLeft(requirement)
  // Accepted means that without it something else is asked for.
  const [only] = ways.length === 1 ? ways : []
  if (only === 'serviceToken' && requirement.serviceToken === 'accepted') throw nothingLeft(requirement)
}

function nothingLeft(requirement: Requirement): GuardConfigurationError {
  return new GuardConfigurationError(
    `${JSON.stringify(requirement)} leaves nothing to check: this guard was given no "issuer" of access tokens, or all it knows is ignored`,
  )
}

const optionsOf = { serviceToken: '"serviceTokens"', mtls: '"mtls"', bearer: '"issuer" or "jwtSvid"' }

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

const missingBearer: Refusal = {
  code: 'missing_credential',
  reason: 'missing_credential',
  message: 'This resource asks for a token in the Authorization header.',
}

const missingAny: Refusal = {
  code: 'missing_credential',
  reason: 'missing_credential',
  message: 'This resource asks for a token in the Authorization header, or for a client certificate.',
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
