import { parseJson } from '@countersign/tokens'
import type { BoundedAnswer } from './bounded-request.ts'
import { ClientError, type ClientErrorCode } from './client-error.ts'

/** A good answer of the token endpoint (RFC 6749 section 5.1). */
export interface TokenAnswer {
  accessToken: string
  tokenType: 'Bearer'
  lifetimeSeconds: number
  scope?: string
}

/** Where the server does not say how long a token lives, it is kept no longer than this. */
const assumedLifetimeSeconds = 60
const maximumLifetimeSeconds = 2 ** 31
const maximumTokenLength = 32_768

/** Reads a 200 of the token endpoint. @throws ClientError `bad_answer` */
export function readTokenAnswer(answer: BoundedAnswer): TokenAnswer {
  const members = parseMembers(answer)
  if (members === undefined) {
    const type = /^[\w.+-]+\/[\w.+-]+/.exec(answer.headers.get('content-type') ?? '')?.[0] ?? 'no media type'
    throw bad(`answered 200 with ${type} that is not a JSON object; check that issuer points at the token server`)
  }
  const { access_token: accessToken, token_type: tokenType, expires_in: expiresIn, scope } = members
  if (!isAccessToken(accessToken)) throw bad('sent no usable access_token; look at the log of the token server')
  if (typeof tokenType !== 'string' || tokenType.toLowerCase() !== 'bearer') {
    throw bad('sent a token_type other than Bearer, which this client cannot use; configure the API for bearer tokens')
  }
  if (scope !== undefined && typeof scope !== 'string') throw bad('sent a scope that is not a string')
  const lifetimeSeconds = expiresIn === undefined ? assumedLifetimeSeconds : expiresIn
  if (typeof lifetimeSeconds !== 'number' || !(lifetimeSeconds > 0 && lifetimeSeconds <= maximumLifetimeSeconds)) {
    throw bad('sent an expires_in that is not a positive number of seconds; look at the token lifetime of the API')
  }
  return { accessToken, tokenType: 'Bearer', lifetimeSeconds, ...(scope ? { scope } : {}) }
}

/** True for text that can stand after `Bearer ` in a header (RFC 6750 section 2.1), so that it cannot break out. */
export function isAccessToken(value: unknown): value is string {
  return typeof value === 'string' && value.length <= maximumTokenLength && /^[A-Za-z0-9\-._~+/]+=*$/.test(value)
}

/** What the server's `error` member means for the caller, and what to do about it. */
const refusals: Record<string, { code: ClientErrorCode; cure: string }> = {
  invalid_client: {
    code: 'invalid_client',
    cure: 'check clientId and the credential (for private_key_jwt also kid and the clock), and that the client is enabled',
  },
  invalid_scope: { code: 'invalid_scope', cure: 'ask for less, or grant the scope with: countersign client grant' },
  invalid_target: {
    code: 'invalid_target',
    cure: 'check audience, and that the client has a grant for it: countersign client grant',
  },
  unauthorized_client: {
    code: 'unauthorized_client',
    cure: 'allow this client the client_credentials grant and this way to authenticate',
  },
  invalid_request: {
    code: 'invalid_request',
    cure: 'check audience and scope for characters that do not belong there',
  },
}

/**
 * Turns a 4xx of the token endpoint into an error that says what to do (RFC 6749 section 5.2).
 * @param redact takes the client's secrets out of what the server wrote: some servers echo their input.
 */
export function readRefusal(answer: BoundedAnswer, redact: (text: string) => string): ClientError {
  const members = parseMembers(answer) ?? {}
  const name = typeof members.error === 'string' && /^[a-z_]{1,64}$/.test(members.error) ? members.error : undefined
  const known = refusals[name ?? ''] ?? (answer.status === 401 ? refusals.invalid_client : undefined)
  const description = typeof members.error_description === 'string' ? printable(redact(members.error_description)) : ''
  const said = [name, description].filter(Boolean).join(': ') || 'no OAuth error'
  const cure = known?.cure ?? 'look at the audit trail of the token server: countersign audit tail'
  return new ClientError(
    known?.code ?? 'refused',
    `the token server refused with status ${answer.status} (${redact(said)}); ${cure}`,
    { status: answer.status },
  )
}

function parseMembers(answer: BoundedAnswer): Record<string, unknown> | undefined {
  try {
    const value = parseJson(answer.body, { maximumDepth: 8 })
    return typeof value === 'object' && value !== null && !Array.isArray(value)
      ? (value as Record<string, unknown>)
      : undefined
  } catch {
    return undefined
  }
}

function printable(text: string): string {
  return text.replace(/[^\x20-\x7e]/g, '?').slice(0, 200)
}

function bad(what: string): ClientError {
  return new ClientError('bad_answer', `the token server ${what}`, { status: 200 })
}
