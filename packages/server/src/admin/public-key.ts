import { importPublicJwk, TokenError, type VerificationKey } from '@countersign/tokens'
import { z } from 'zod'
import { Problem } from '../http/problem.ts'
import { isOneLine } from './fields.ts'

/** What a body may give for a key; `readPublicKey` looks into it. */
export const givenJwk = z.record(z.string(), z.unknown()).meta({ description: 'A public JWK (RFC 7517)' })

/**
 * A public key that an administrator sent, strong enough to be relied on.
 * @param path where it stands in the body
 * @throws Problem `invalid_key`, `weak_key`
 */
export function readPublicKey(jwk: Record<string, unknown>, path: string): VerificationKey {
  try {
    return importPublicJwk(jwk)
  } catch (error) {
    if (!(error instanceof TokenError)) throw error
    const message = isOneLine(error.message) ? error.message : 'the key cannot be used'
    throw unusableKey(error.code, message, error.part === undefined ? path : `${path}.${error.part}`)
  }
}

export function unusableKey(code: string, message: string, path: string): Problem {
  return new Problem(422, code, message, { errors: [{ path, message }] })
}
