import type { GuardErrorCode } from './guard-error.ts'

interface Refusal {
  readonly code: GuardErrorCode
  readonly message: string
  readonly realm: string
  readonly scopes: readonly string[]
}

/**
 * The `WWW-Authenticate` value for a refusal (RFC 6750 section 3). Who sent no credential gets no error code
 * (section 3.1); `scope` names what the route asks for.
 */
export function bearerChallenge(refusal: Refusal): string {
  const parameters = [`realm="${quotable(refusal.realm)}"`]
  if (refusal.code !== 'missing_credential') {
    parameters.push(`error="${refusal.code}"`, `error_description="${quotable(refusal.message)}"`)
  }
  if (refusal.scopes.length > 0 && refusal.code !== 'invalid_request') {
    parameters.push(`scope="${quotable(refusal.scopes.join(' '))}"`)
  }
  return `Bearer ${parameters.join(', ')}`
}

/** Where only a client certificate will do: no scheme is registered for it, and RFC 9110 section 15.5.2 wants one. */
export function certificateChallenge({ code, message, realm }: Refusal): string {
  const error = code === 'missing_credential' ? '' : `, error="${code}", error_description="${quotable(message)}"`
  return `Certificate realm="${quotable(realm)}"${error}`
}

/** The `WWW-Authenticate` value for a refused service token. */
export function serviceTokenChallenge({ code, message }: Pick<Refusal, 'code' | 'message'>): string {
  return `M2M error="${code}", error_description="${quotable(message)}"`
}

/** RFC 6750 section 3 leaves printable ASCII without `"` and `\`: nothing that could end the string or the header. */
function quotable(text: string): string {
  return text.replace(/[^\x20-\x7e]/g, '?').replace(/["\\]/g, "'")
}
