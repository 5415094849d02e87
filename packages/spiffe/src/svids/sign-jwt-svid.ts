import type { KeyObject } from 'node:crypto'
import { createSigner, signingAlgorithmOf } from '@countersign/tokens'
import type { SpiffeId } from '../ids/spiffe-id.ts'
import { SpiffeError } from '../spiffe-error.ts'

export interface JwtSvidToSign {
  readonly id: SpiffeId
  /** At least one */
  readonly audience: readonly string[]
  /** Seconds since the epoch */
  readonly issuedAt: number
  readonly expiresAt: number
  /** EC P-256 or RSA, private */
  readonly key: KeyObject
  readonly kid: string
  readonly issuer?: string
  readonly jti?: string
}

/** A JWT-SVID (JWT-SVID sections 2 and 3). Throws `invalid_configuration` for what none may have. */
export function signJwtSvid({ id, audience, issuedAt, expiresAt, key, kid, issuer, jti }: JwtSvidToSign): string {
  if (id.path === '') throw invalid('the ID of a trust domain gets no JWT-SVID')
  if (audience.length === 0 || audience.includes('')) throw invalid('a JWT-SVID has an audience that is not empty')
  if (!(issuedAt >= 0 && expiresAt > issuedAt)) throw invalid('a JWT-SVID expires after it is issued')
  const algorithm = signingAlgorithmOf(key)
  if (key.type !== 'private' || (algorithm !== 'ES256' && algorithm !== 'RS256')) {
    throw invalid('JWT-SVIDs are signed with private keys, EC P-256 or RSA')
  }
  const claims = { iss: issuer, sub: id.toString(), aud: audience, iat: issuedAt, exp: expiresAt, jti }
  return createSigner({ algorithm, kid, key, type: 'JWT' }).sign(claims)
}

function invalid(message: string): SpiffeError {
  return new SpiffeError('invalid_configuration', message)
}
