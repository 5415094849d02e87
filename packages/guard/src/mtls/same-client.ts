import type { VerifiedToken } from '../access-token.ts'
import { type Caller, deepFreeze } from '../caller.ts'
import { Refused } from '../refusal.ts'
import { differentClients } from './certificate-refusal.ts'

/**
 * The caller of a request with a certificate and a token, which must name the same client: the same name, or a token that its
 * issuer has bound to this very certificate. The token says what the caller may do. Throws Refused.
 */
export function sameClient(certificate: Caller, { caller, boundTo }: VerifiedToken): Caller {
  // That the token's binding is to this certificate was proven before.
  const isSame = boundTo !== undefined || caller.clientId === certificate.clientId
  const isOtherWorkload = caller.spiffeId !== undefined && caller.spiffeId !== certificate.spiffeId
  if (!isSame || isOtherWorkload) throw new Refused(differentClients)
  const { spiffeId, confirmation } = certificate
  return deepFreeze({ ...caller, ...(spiffeId === undefined ? {} : { spiffeId }), confirmation })
}
