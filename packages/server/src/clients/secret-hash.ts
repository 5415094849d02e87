import { createHmac, type KeyObject, timingSafeEqual } from 'node:crypto'
import type { SecretRecord } from './client.ts'

/** Longer than any secret we make or accept; what is longer is not hashed at all. */
const longestSecret = 512
const nobody = Buffer.alloc(32)

/** Machine secrets hold 256 random bits, so one keyed hash is as strong as a thousand and costs a thousandth. */
export function hashClientSecret(secret: string, key: KeyObject): Buffer {
  return createHmac('sha256', key).update(secret).digest()
}

/**
 * Finds which of a client's secrets this is. Does the same work whether the client exists, has secrets, or not.
 * @returns the secret's record, or undefined
 */
export function matchClientSecret(
  presented: string,
  secrets: readonly SecretRecord[],
  key: KeyObject,
  now: number,
): SecretRecord | undefined {
  const hash = hashClientSecret(presented.length > longestSecret ? '' : presented, key)
  let found: SecretRecord | undefined
  for (const secret of secrets) {
    const equal = timingSafeEqual(hash, secret.hash)
    if (equal && (secret.expiresAt === undefined || now < secret.expiresAt)) found = secret
  }
  if (secrets.length === 0) timingSafeEqual(hash, nobody)
  return found
}
