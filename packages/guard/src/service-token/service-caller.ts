import { jwkThumbprint, type VerificationKey } from '@countersign/tokens'
import { type Caller, deepFreeze } from '../caller.ts'

/** The verified claims of a service token. */
export interface ServiceTokenPayload {
  readonly iss: string
  /** The full name of the service that made the call, `order-service`. */
  readonly sender: string
  readonly iat: number
  readonly exp: number
  readonly tenant?: string
  readonly [claim: string]: unknown
}

/** A caller that proved itself with a service token; `claims` is the payload. */
export type ServiceCaller = Caller & { readonly method: 'service_token'; readonly claims: ServiceTokenPayload }

export function toServiceCaller(
  claims: ServiceTokenPayload,
  key: VerificationKey,
  scopes: readonly string[],
  receiver: string,
): ServiceCaller {
  const { iss, sender, jti, tenant, exp, aud } = claims
  const caller: ServiceCaller = {
    method: 'service_token',
    clientId: sender,
    subject: sender,
    scopes: [...scopes],
    audience: typeof aud === 'string' ? aud : receiver,
    issuer: iss,
    credentialId: key.kid ?? jwkThumbprint(key.jwk),
    ...(typeof jti === 'string' ? { tokenId: jti } : {}),
    ...(typeof tenant === 'string' ? { tenant } : {}),
    expiresAt: exp,
    claims,
  }
  return deepFreeze(caller)
}
