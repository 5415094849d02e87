import { sign } from 'node:crypto'
import { parseJwt } from '../jwt/parse-jwt.ts'
import { type GeneratedKey, generateSigningKey } from '../keys/generate-key.ts'
import { importPublicJwk, type VerificationKey } from '../keys/public-jwk.ts'
import { TokenError } from '../token-error.ts'
import { type CallBinding, httpBinding } from './call-binding.ts'
import { checkServiceToken, type ServiceTokenRules } from './service-token.ts'
import { type ServiceTokenReason, serviceTokenReason } from './service-token-reason.ts'

export const now = 1_800_000_000

export interface TestService {
  pair: GeneratedKey
  key: VerificationKey
}

export async function testService(): Promise<TestService> {
  const pair = await generateSigningKey('EdDSA')
  return { pair, key: importPublicJwk(pair.publicJwk) }
}

export const order = await testService()
export const stranger = await testService()

export const call = { method: 'POST', target: '/v1/stock?sku=1', content: Buffer.from('{"n":1}') }
export const binding = httpBinding(call)
export const { transport: _transport, ...request } = binding
export const goodClaims = {
  iss: 'order-service',
  sub: 'order-service',
  sender: 'order-service',
  aud: 'inventory-service',
  iat: now,
  exp: now + 60,
  jti: '5b1c2a04-7d0e-4a56-9a2f-0c6d6f5b1f11',
  req: request as object,
}

/** A signed token of any claims, or of any text in their place, and any header. */
export function forged(claims: object | string, header: object = {}, { pair } = order): string {
  const input = `${encoded({ alg: 'EdDSA', typ: 'm2m+jwt', kid: pair.kid, ...header })}.${encoded(claims)}`
  return `${input}.${sign(null, Buffer.from(input), pair.privateKey).toString('base64url')}`
}

/** What is at fault, or `accepted`. Lets every error pass that is not for a token to cause. */
export function verdict(
  token: string,
  received: CallBinding = binding,
  rules: Partial<ServiceTokenRules> & { key?: VerificationKey; now?: number } = {},
): ServiceTokenReason | 'accepted' {
  const { key = order.key, now: at = now, ...given } = rules
  const complete = { audiences: ['inventory-service'], binding: received, ...given }
  return reasonOf(() => checkServiceToken(parseJwt(token), key, complete, at))
}

export function reasonOf(work: () => unknown): ServiceTokenReason | 'accepted' {
  try {
    work()
    return 'accepted'
  } catch (error) {
    if (!(error instanceof TokenError)) throw error
    return serviceTokenReason(error)
  }
}

function encoded(value: object | string): string {
  return Buffer.from(typeof value === 'string' ? value : JSON.stringify(value)).toString('base64url')
}
