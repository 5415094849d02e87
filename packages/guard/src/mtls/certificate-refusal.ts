import { SpiffeError } from '@countersign/spiffe'
import { PeerCertificateError } from '../peer-certificate/peer-certificate.ts'
import type { Refusal } from '../refusal.ts'

/** What to answer for a certificate that does not hold. What it or the error said is never repeated. */
export function certificateRefusal(error: unknown): Refusal {
  if (error instanceof PeerCertificateError) return { ...malformed[error.reason], cause: error }
  if (!(error instanceof SpiffeError)) throw error
  if (error.code === 'unavailable') return { ...bundlesUnavailable, cause: error }
  if (error.code === 'expired_svid') return { ...refused('expired_certificate', expired), cause: error }
  return {
    ...refused(error.code === 'untrusted_svid' ? 'untrusted_certificate' : 'invalid_certificate', untrusted),
    cause: error,
  }
}

export const missingCertificate: Refusal = {
  code: 'missing_credential',
  reason: 'missing_certificate',
  message: 'This resource asks for a client certificate on the connection.',
}

export const notAllowed: Refusal = {
  code: 'caller_not_allowed',
  reason: 'caller_not_allowed',
  message: 'This caller is known, and is not among those who may call here.',
}

export const revokedCertificate: Refusal = refused(
  'revoked_certificate',
  'The client certificate was revoked: the identity that it shows has ended.',
)

export const wrongCertificate: Refusal = refused(
  'wrong_certificate',
  'The access token is bound to a certificate, and this connection was made with another one.',
)

export const differentClients: Refusal = refused(
  'different_clients',
  'The client certificate and the token name different clients.',
)

export const bundlesUnavailable: Refusal = {
  code: 'unavailable',
  reason: 'bundles_unavailable',
  message: 'The trust bundle to verify the caller by cannot be had at the moment; try again shortly.',
  retryAfterSeconds: 5,
}

const expired = 'The client certificate has expired, or is not valid yet; get a new one, and a new connection.'
const untrusted = 'The client certificate is not one that is trusted here.'

const malformed: Record<PeerCertificateError['reason'], Refusal> = {
  malformed_certificate: refused('malformed_certificate', 'The client certificate cannot be read.'),
  malformed_header: {
    code: 'invalid_request',
    reason: 'malformed_certificate_header',
    message: 'The header with the client certificate cannot be read.',
  },
  untrusted_proxy: {
    code: 'invalid_request',
    reason: 'untrusted_proxy',
    message: 'The request has a header with a client certificate, and does not come from a proxy that may set it.',
  },
}

function refused(reason: string, message: string): Refusal {
  return { code: 'invalid_token', reason, message }
}
