import { type ServiceTokenReason, serviceTokenReason, TokenError } from '@countersign/tokens'
import { GuardError } from '../guard-error.ts'

/** What to answer when checking a service token threw. Our own sentences: nothing that the token said is repeated. */
export function serviceTokenRefusal(error: unknown, realm: string): GuardError {
  if (error instanceof GuardError) return error
  if (error instanceof TokenError) {
    const reason = error.part === 'sender' ? 'sender' : serviceTokenReason(error)
    return invalidServiceToken({ reason, realm, cause: error })
  }
  return new GuardError({
    code: 'unavailable',
    reason: 'verification_failed',
    message: 'The service token could not be checked; try again shortly, with a new one.',
    realm,
    retryAfterSeconds: 5,
    cause: error,
  })
}

/** @param details.message instead of the sentence for the reason */
export function invalidServiceToken(details: {
  reason: ServiceTokenReason
  realm: string
  message?: string
  status?: 401 | 403
  cause?: unknown
}): GuardError {
  return new GuardError({ code: 'InvalidM2MToken', ...details, message: details.message ?? sentences[details.reason] })
}

export function unavailable(reason: string, message: string, realm: string, cause: unknown): GuardError {
  return new GuardError({ code: 'unavailable', reason, message, realm, retryAfterSeconds: 5, cause })
}

const sentences: Readonly<Record<ServiceTokenReason, string>> = {
  method: 'The service token was signed for another method (method).',
  target: 'The service token was signed for another path or query (target).',
  digest: 'The service token was signed for other content (digest).',
  topic: 'The service token was signed for another topic (topic).',
  key: 'The service token was signed for another record key (key).',
  aud: 'The service token was signed for another receiver (aud).',
  typ: 'The token is not of a type that is taken here: its typ must be m2m+jwt (typ).',
  alg: 'The service token must be signed with EdDSA (alg).',
  kid: 'The service token is signed with a key that its sender does not publish (kid).',
  jti: 'The service token has no proper id (jti).',
  iat: 'The service token is not valid yet, or does not say since when; compare the clocks of sender and receiver (iat).',
  exp: 'The service token does not say when it ends, or lives longer than is taken here (exp).',
  sender: 'The service token names no sender that is known here (sender).',
  iss: 'The service token was not issued by its sender (iss).',
  tenant: 'The tenant of the service token is not a proper text (tenant).',
  req: 'The service token is not bound to a call as it must be (req).',
  expired: 'The service token has expired; sign a new one for each attempt (expired).',
  signature: 'The signature of the service token does not hold (signature).',
  replayed: 'The service token was used before; sign a new one for each attempt (replayed).',
  malformed: 'The service token is not a well-formed JWT (malformed).',
}
