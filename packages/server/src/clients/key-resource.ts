import { jwkThumbprint, type PublicJwk, type VerificationKey } from '@countersign/tokens'
import { z } from 'zod'
import { exactly, line, time, toTime, toTimeOrNull } from '../admin/fields.ts'
import { givenJwk, readPublicKey } from '../admin/public-key.ts'
import { invalid } from '../admin/request-validation.ts'
import type { ClientKeyRow } from '../storage/tables.ts'

export const newKey = exactly({
  jwk: givenJwk,
  label: line(100).optional(),
})

export const clientKey = z.object({
  id: z.string(),
  client_id: z.string(),
  kid: z.string(),
  algorithm: z.string(),
  jwk: z.record(z.string(), z.string()),
  label: z.string().nullable(),
  created_at: time,
  last_used_at: time.nullable(),
})

export const kidPattern = /^[\x21-\x7e]{1,128}$/

export interface CheckedKey {
  kid: string
  /** RFC 7638 */
  thumbprint: string
  /** Only what is needed, with `kid`, `use`, and the one algorithm that it may be used with */
  jwk: PublicJwk
}

/**
 * What a client may register: a public key, strong enough, for one algorithm. RSA without `alg` is for RS256, so that
 * no key is ever accepted under two schemes.
 * @throws Problem `invalid_key`, `weak_key`, `invalid`
 */
export function checkKey(jwk: Record<string, unknown>): CheckedKey {
  const key = readPublicKey(jwk, 'jwk')
  const thumbprint = jwkThumbprint(key.jwk)
  const kid = key.kid ?? thumbprint
  if (!kidPattern.test(kid)) {
    throw invalid([{ path: 'jwk.kid', message: 'must be 1 to 128 visible ASCII characters, without spaces' }])
  }
  return { kid, thumbprint, jwk: { ...key.jwk, kid, use: 'sig', ...algorithmOf(key) } }
}

export function viewKey(row: ClientKeyRow): z.infer<typeof clientKey> {
  const jwk: Record<string, string> = JSON.parse(row.jwk)
  return {
    id: row.id,
    client_id: row.client_id,
    kid: row.kid,
    algorithm: jwk.alg ?? 'EdDSA',
    jwk,
    label: row.label,
    created_at: toTime(row.created_at),
    last_used_at: toTimeOrNull(row.last_used_at),
  }
}

/** EdDSA and Ed25519 are two names of one algorithm (RFC 9864): a key without `alg` answers to both. */
function algorithmOf({ jwk, algorithms }: VerificationKey): { alg?: string } {
  if (jwk.kty === 'OKP' && jwk.alg === undefined) return {}
  return { alg: jwk.alg ?? (algorithms[0] as string) }
}
