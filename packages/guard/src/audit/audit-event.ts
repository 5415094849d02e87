import type { ServiceTokenValidation } from '../service-token/validation.ts'

/** An event as `POST /api/v1/audit-events` takes it. */
export interface AuditEvent {
  readonly type: string
  readonly outcome: 'failure'
  readonly client_id?: string
  readonly method?: string
  readonly reason?: string
  readonly audience?: string
  readonly jti?: string
  readonly target?: string
  readonly count?: number
}

/** What the audit trail is told of a token that did not pass. The token itself is not in it. */
export function auditEventOf(validation: ServiceTokenValidation, service: string): AuditEvent {
  const { outcome, sender, claimedSender, reason, error, target, tokenId, transport, profile } = validation
  const proven = sender !== undefined || claimedSender === undefined ? '' : ' (sender not proven)'
  return {
    type: outcome === 'refused' ? 'service_token.refused' : 'service_token.unchecked',
    outcome: 'failure',
    client_id: sender ?? claimedSender,
    method: `${profile}_${transport}`,
    reason: line(`${reason ?? 'unknown'}${proven}: ${error?.message ?? ''}`, 500),
    audience: service,
    jti: tokenId === undefined ? undefined : line(tokenId, 256),
    target: line(target, 500),
  }
}

export function unreported(count: number, service: string): AuditEvent {
  return { type: 'service_token.unreported', outcome: 'failure', audience: service, count }
}

/** One line that the server takes, whatever a path or a token had in it: one that it refused would take others with it. */
function line(text: string, most: number): string {
  const plain = text.replace(/[^\x20-\x7e]/g, '?').replaceAll('cs_secret_', 'cs_secret?')
  return plain.slice(0, most) || '-'
}
