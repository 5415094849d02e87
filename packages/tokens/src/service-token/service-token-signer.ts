import { randomUUID } from 'node:crypto'
import { createSigner } from '../jwt/signer.ts'
import type { PrivateKey } from '../keys/private-key.ts'
import { jwkThumbprint } from '../keys/thumbprint.ts'
import { TokenError } from '../token-error.ts'
import type { CallBinding } from './call-binding.ts'
import { longestJti, longestTenant } from './service-claims.ts'
import { serviceName } from './service-name.ts'

/** Signs service tokens in the name of one service. */
export interface ServiceTokenSigner {
  /** The full name, `order-service`. */
  readonly sender: string
  /** The key's RFC 7638 thumbprint. */
  readonly kid: string
  /** A token for exactly this call. `audience`: the receiver's full name, `kafka:{topic}`, or an origin. */
  sign(call: { audience: string; binding: CallBinding; tenant?: string }): string
}

export interface ServiceTokenSignerOptions {
  /** The service's name, short or full. */
  name: string
  /** Ed25519. */
  key: PrivateKey
  /** 1 to 900, default 60. */
  lifetimeSeconds?: number
  /** Milliseconds since the epoch. */
  now: () => number
  /** Default a UUIDv7 (RFC 9562), which tells to the millisecond when the token was signed. */
  jti?: () => string
}

/** A signer of service tokens. Throws `invalid_claim` for a name that is none, `invalid_key` for another kind of key. */
export function createServiceTokenSigner(options: ServiceTokenSignerOptions): ServiceTokenSigner {
  const { key, lifetimeSeconds = 60, now } = options
  checkLifetime(lifetimeSeconds)
  const sender = serviceName(options.name)
  const kid = jwkThumbprint(key.publicJwk)
  const signer = createSigner({ algorithm: 'EdDSA', kid, key: key.key, type: 'm2m+jwt' })
  return {
    sender,
    kid,
    sign({ audience, binding, tenant }) {
      checkText(audience, 'aud', 1024)
      if (tenant !== undefined) checkText(tenant, 'tenant', longestTenant)
      const nowMilliseconds = now()
      const iat = Math.floor(nowMilliseconds / 1000)
      const jti = options.jti?.() ?? uuidVersion7(nowMilliseconds)
      checkText(jti, 'jti', longestJti)
      const { transport: _, ...req } = binding
      const exp = iat + lifetimeSeconds
      return signer.sign({ iss: sender, sub: sender, sender, aud: audience, iat, exp, jti, tenant, req })
    },
  }
}

export function checkLifetime(lifetimeSeconds: number): void {
  // A mistake of the program's configuration, hence no TokenError.
  if (Number.isInteger(lifetimeSeconds) && lifetimeSeconds >= 1 && lifetimeSeconds <= 900) return
  throw new RangeError('lifetimeSeconds must be a whole number of 1 to 900')
}

function checkText(value: string, claim: string, maximumLength: number): void {
  if (typeof value === 'string' && value !== '' && value.length <= maximumLength) return
  throw new TokenError('invalid_claim', `"${claim}" is not a text of 1 to ${maximumLength} characters`, claim)
}

function uuidVersion7(nowMilliseconds: number): string {
  const time = Math.floor(nowMilliseconds).toString(16).padStart(12, '0')
  // The rest of a version 4 UUID: random bits, and the variant in their place.
  return `${time.slice(0, 8)}-${time.slice(8)}-7${randomUUID().slice(15)}`
}
