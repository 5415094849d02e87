import type { AuditFact } from '../audit/event.ts'
import { parameter } from '../token-endpoint/form.ts'
import { OAuthError } from '../token-endpoint/oauth-error.ts'
import { type AuthenticatedClient, ClientAuthFailure, type ClientRequest } from './client-auth-method.ts'

export interface RefusalContext {
  audit: { record(fact: AuditFact): Promise<void> }
  limits: { afterFailure(address: string): void | Promise<void> }
}

/**
 * Records a refusal before it is answered; a failed authentication also counts against its address.
 * @param type of the event for a refusal that is not of the authentication, such as `token.refused`
 * @returns what to throw
 */
export async function recordRefusal(
  error: unknown,
  type: string,
  request: Pick<ClientRequest, 'address'> & Partial<ClientRequest>,
  authenticated: AuthenticatedClient | undefined,
  context: RefusalContext,
): Promise<unknown> {
  const { address } = request
  if (error instanceof ClientAuthFailure) {
    await context.limits.afterFailure(address)
    await context.audit.record({
      type: 'client_auth.failed',
      outcome: 'failure',
      client_id: error.clientId?.slice(0, 128),
      address,
      method: error.method,
      reason: error.message.slice(0, 500),
    })
    return invalidClient()
  }
  // What a limit refuses is counted by the limit, not written down one by one.
  if (error instanceof OAuthError && error.status !== 429) {
    await context.audit.record({
      type,
      outcome: 'failure',
      client_id: (authenticated?.client.id ?? claimedClient(request))?.slice(0, 128),
      address,
      method: authenticated?.method,
      credential: authenticated?.credentialId,
      reason: `${error.code}: ${error.reason}`.slice(0, 500),
    })
  }
  return error
}

/** The same where only failures are limited, so that every refusal counts as one: each writes a row. */
export async function recordCountedRefusal(...refusal: Parameters<typeof recordRefusal>): Promise<unknown> {
  const [error, , { address }, , { limits }] = refusal
  if (error instanceof OAuthError && error.status !== 429) await limits.afterFailure(address)
  return recordRefusal(...refusal)
}

function claimedClient({ form }: Partial<ClientRequest>): string | undefined {
  return form && parameter(form, 'client_id')
}

/** One answer for a client that is unknown, disabled or has shown a wrong credential. */
export function invalidClient(): OAuthError {
  return new OAuthError('invalid_client', 'client authentication failed', {
    // RFC 9110 section 15.5.2 wants a challenge on every 401, RFC 6749 section 5.2 where Basic was tried.
    headers: { 'www-authenticate': 'Basic realm="countersign", charset="UTF-8"' },
  })
}
