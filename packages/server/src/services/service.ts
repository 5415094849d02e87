import { jwkThumbprint, type PublicJwk } from '@countersign/tokens'
import { z } from 'zod'
import { exactly, time, toTime } from '../admin/fields.ts'
import { givenJwk, readPublicKey, unusableKey } from '../admin/public-key.ts'
import { invalid } from '../admin/request-validation.ts'
import type { ServiceRow } from '../storage/tables.ts'

/** A service as the admin API shows and takes it. */

/** So that a rotation may overlap, and a verifier never has many to try. */
export const mostServiceKeys = 10

export const newServiceKey = exactly({ jwk: givenJwk })

export const serviceKeys = exactly({
  jwks: exactly({ keys: z.array(givenJwk).max(mostServiceKeys) })
    .optional()
    .meta({ description: 'A JWK set (RFC 7517 section 5)' }),
  jwk: givenJwk.optional().meta({ description: 'In place of `jwks`, for a single key' }),
}).refine(({ jwks, jwk }) => (jwks === undefined) !== (jwk === undefined), { error: 'give one of jwks and jwk' })

export const service = z.object({
  name: z.string().meta({ description: 'Without `-service` at its end' }),
  jwks: z.object({ keys: z.array(z.record(z.string(), z.string())) }),
  created_at: time,
  updated_at: time,
})

export function viewService(row: ServiceRow): z.infer<typeof service> {
  return {
    name: row.name,
    jwks: { keys: keysOf(row) as Record<string, string>[] },
    created_at: toTime(row.created_at),
    updated_at: toTime(row.updated_at),
  }
}

export function keysOf({ keys }: Pick<ServiceRow, 'keys'>): PublicJwk[] {
  return JSON.parse(keys)
}

/** @throws Problem `invalid_key`, `weak_key`, `invalid` (a key twice) */
export function checkServiceKeys({ jwks, jwk }: z.infer<typeof serviceKeys>): PublicJwk[] {
  if (jwk) return [checkServiceKey(jwk, 'jwk')]
  const keys = (jwks?.keys ?? []).map((key, index) => checkServiceKey(key, `jwks.keys.${index}`))
  for (const [index, { kid }] of keys.entries()) {
    const isRepeated = keys.findIndex((key) => key.kid === kid) < index
    if (isRepeated) throw invalid([{ path: `jwks.keys.${index}`, message: 'is in the set twice' }])
  }
  return keys
}

/**
 * A key as it is published. Service tokens name their key by its RFC 7638 thumbprint, so that is its kid, whatever it
 * was called before.
 * @throws Problem `invalid_key`, `weak_key`
 */
export function checkServiceKey(jwk: Record<string, unknown>, path: string): PublicJwk {
  // A private key is told that it has leaked, of whatever kind it is.
  const isPrivate = Object.hasOwn(jwk, 'd') || Object.hasOwn(jwk, 'k')
  const isEd25519 = jwk.kty === 'OKP' && jwk.crv === 'Ed25519'
  if (!isEd25519 && !isPrivate) {
    const message = 'service tokens are signed with Ed25519 only; make a pair with: countersign service keygen'
    throw unusableKey('invalid_key', message, `${path}.kty`)
  }
  const { jwk: key } = readPublicKey(jwk, path)
  const { kty, crv, x, alg = 'EdDSA' } = key
  return { kty, ...(crv && { crv }), ...(x && { x }), kid: jwkThumbprint(key), alg, use: 'sig' }
}
