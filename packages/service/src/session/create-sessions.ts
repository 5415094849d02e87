import { createGuard, type Guard, GuardError, type GuardOptions } from '@countersign/guard'
import { describeError } from '../log/describe-error.ts'
import type { Operation } from '../operation.ts'
import type { ServiceLogger } from '../service-context.ts'
import { ServiceError } from '../service-error.ts'
import type { ServiceSettings } from '../settings/settings.ts'
import type { Session, SessionVerifier } from './session.ts'

/**
 * A session verifier of the service's own: gives the session of a token, or `undefined` for a token that is not good.
 * What it throws refuses the call too; with `code: 'unavailable'` (the session store is away) as 503, which invites to try again.
 */
export type VerifySession = (token: string) => Session | undefined | Promise<Session | undefined>

export interface SessionOptions {
  readonly verifySession: VerifySession | undefined
  readonly settings: ServiceSettings
  readonly realm: string
  readonly log: ServiceLogger
  readonly now: () => number
}

export interface Sessions extends SessionVerifier {
  /** For the log, at start. */
  notices(operations: readonly Operation[]): string[]
  close(): Promise<void>
}

/**
 * The given verifier, else one for the access tokens of `SESSION_ISSUERS` made for `SESSION_AUDIENCE`, else none: then
 * every call that needs a session is refused. Throws ServiceError `invalid_environment` when only one of both is set.
 */
export function createSessions(options: SessionOptions): Sessions {
  const { realm, log, now } = options
  const source = sourceOf(options)
  return {
    notices(operations) {
      const needing = operations.filter(({ authOptions }) => authOptions.loginRequired)
      if (source !== undefined || needing.length === 0) return []
      const names = needing.map(({ name }) => name).join(', ')
      return [
        `no token makes a session here, so ${names} cannot be called by users; set SESSION_ISSUERS and SESSION_AUDIENCE`,
      ]
    },
    close: async () => source?.close?.(),
    async verify(token) {
      if (token === undefined || source === undefined) throw loginRequired(realm)
      const session = await verified(source.verify, token)
      if (session?.expiresAt !== undefined && !(session.expiresAt > now() / 1000)) throw invalidSession(realm)
      if (typeof session?.subject !== 'string' || session.subject === '') throw invalidSession(realm)
      if (session.tenant !== undefined && typeof session.tenant !== 'string') throw invalidSession(realm)
      return Object.freeze({ ...session, claims: session.claims ?? {} })
    },
  }

  async function verified(verify: VerifySession, token: string): Promise<Session | undefined> {
    try {
      return await verify(token)
    } catch (error) {
      if (error instanceof GuardError) throw error
      const unavailable = (error as { code?: unknown } | undefined)?.code === 'unavailable'
      log.warn({ err: describeError(error) }, 'the session verifier refused or failed')
      throw unavailable ? sessionsUnavailable(realm) : invalidSession(realm)
    }
  }
}

interface SessionSource {
  readonly verify: VerifySession
  readonly close?: () => Promise<void>
}

function sourceOf({ verifySession, settings, realm, now }: SessionOptions): SessionSource | undefined {
  if (verifySession !== undefined) return { verify: verifySession }
  const { sessionIssuers, sessionAudiences } = settings
  if (sessionIssuers.length === 0 && sessionAudiences.length === 0) return undefined
  if (sessionIssuers.length === 0 || sessionAudiences.length === 0)
    throw new ServiceError('invalid_environment', 'SESSION_ISSUERS and SESSION_AUDIENCE go together; set both, or none')
  const guard = sessionGuard({ issuer: sessionIssuers, audience: sessionAudiences, realm, now })
  return { verify: async (token) => sessionOf(await guard.verifyToken(token)), close: () => guard.close() }
}

function sessionGuard(options: GuardOptions): Guard {
  try {
    return createGuard(options)
  } catch (error) {
    throw new ServiceError('invalid_environment', `SESSION_ISSUERS: ${(error as Error).message}`)
  }
}

function sessionOf(caller: NonNullable<Session['caller']>): Session {
  const { subject, tenant, expiresAt, claims } = caller
  return { subject, ...(tenant === undefined ? {} : { tenant }), expiresAt, claims, caller }
}

function loginRequired(realm: string): GuardError {
  return new GuardError({
    code: 'missing_credential',
    reason: 'session_required',
    message: "This needs a session: send the user's token in the Authorization header or the session's cookie.",
    realm,
  })
}

function invalidSession(realm: string): GuardError {
  const message = "The session's token is not valid; log in again."
  return new GuardError({ code: 'invalid_token', reason: 'invalid_session', message, realm })
}

function sessionsUnavailable(realm: string): GuardError {
  const message = 'Sessions cannot be checked at the moment; try again shortly.'
  return new GuardError({ code: 'unavailable', reason: 'sessions_unavailable', message, realm, retryAfterSeconds: 5 })
}
