import { STATUS_CODES } from 'node:http'
import { bearerChallenge, certificateChallenge, serviceTokenChallenge } from './challenge.ts'

export type GuardErrorCode =
  | 'missing_credential'
  | 'invalid_token'
  | 'invalid_request'
  | 'insufficient_scope'
  | 'caller_not_allowed'
  | 'unavailable'
  | 'InvalidM2MToken'
  | 'RequiresM2MToken'
  | 'body_too_large'
  | 'body_already_read'

/** RFC 9457 problem details, with a `code` for programs and a `reason` that says which rule was broken. */
export interface Problem {
  title: string
  status: number
  detail: string
  code: GuardErrorCode
  reason: string
  scope?: string
}

export interface GuardErrorDetails {
  code: GuardErrorCode
  /** Names the one rule that was broken: `expired_token`, `wrong_audience`, ...; for a service token what is at fault: `digest`, ... */
  reason: string
  /** A sentence for whoever reads the answer. It must not repeat what the request said. */
  message: string
  realm: string
  /** The scopes that the route asks for. */
  scopes?: readonly string[]
  retryAfterSeconds?: number
  /** Default true. */
  takesBearer?: boolean
  /** Where the code alone does not say it. */
  status?: 401 | 403
  cause?: unknown
}

/** Why a request was refused, and how to say so over HTTP (RFC 6750 section 3, RFC 9457). `cause` is for logs only. */
export class GuardError extends Error {
  readonly code: GuardErrorCode
  readonly status: 400 | 401 | 403 | 413 | 503
  readonly reason: string
  readonly realm: string
  readonly scopes: readonly string[]
  readonly retryAfterSeconds: number | undefined
  /** False where the guard takes certificates and no Bearer token. */
  readonly takesBearer: boolean

  constructor(details: GuardErrorDetails) {
    super(details.message, details.cause === undefined ? undefined : { cause: details.cause })
    this.name = 'GuardError'
    this.code = details.code
    this.status = details.status ?? statusOf[details.code]
    this.reason = details.reason
    this.realm = details.realm
    this.scopes = details.scopes ?? []
    this.retryAfterSeconds = details.retryAfterSeconds
    this.takesBearer = details.takesBearer ?? true
  }

  /** The body of the answer. */
  toProblem(): Problem {
    const problem: Problem = {
      title: STATUS_CODES[this.status] ?? 'Refused',
      status: this.status,
      detail: this.message,
      code: this.code,
      reason: this.reason,
    }
    if (this.code === 'insufficient_scope') problem.scope = this.scopes.join(' ')
    return problem
  }

  /** The headers of the answer, its content type included. Names are lower case. */
  headers(): Record<string, string> {
    const headers: Record<string, string> = {
      'content-type': 'application/problem+json',
      'cache-control': 'no-store',
    }
    if (this.code === 'unavailable') headers['retry-after'] = String(Math.max(1, this.retryAfterSeconds ?? 5))
    const challenge = challengeOf(this)
    if (challenge !== undefined) headers['www-authenticate'] = challenge
    return headers
  }
}

function challengeOf(error: GuardError): string | undefined {
  switch (error.code) {
    case 'unavailable':
    case 'caller_not_allowed':
    case 'body_too_large':
    case 'body_already_read':
      return undefined
    case 'InvalidM2MToken':
    case 'RequiresM2MToken':
      return serviceTokenChallenge(error)
    default:
      return error.takesBearer ? bearerChallenge(error) : certificateChallenge(error)
  }
}

/** The guard was set up in a way that cannot be safe. Thrown at start, never while a request is answered. */
export class GuardConfigurationError extends Error {
  readonly code = 'invalid_configuration'
  override readonly name = 'GuardConfigurationError'
}

const statusOf = {
  missing_credential: 401,
  invalid_token: 401,
  invalid_request: 400,
  insufficient_scope: 403,
  caller_not_allowed: 403,
  unavailable: 503,
  InvalidM2MToken: 401,
  RequiresM2MToken: 401,
  body_too_large: 413,
  body_already_read: 400,
} as const
