import type { TokenError, TokenErrorCode } from '../token-error.ts'

export const serviceTokenReasons = [
  'method',
  'target',
  'digest',
  'topic',
  'key',
  'aud',
  'typ',
  'alg',
  'kid',
  'jti',
  'iat',
  'exp',
  'sender',
  'iss',
  'tenant',
  'req',
  'expired',
  'signature',
  'replayed',
  'malformed',
] as const

/** What of a service token, or of the call that it came with, is at fault. */
export type ServiceTokenReason = (typeof serviceTokenReasons)[number]

const reasonOfCode: Partial<Record<TokenErrorCode, ServiceTokenReason>> = {
  expired_token: 'expired',
  token_not_yet_valid: 'iat',
  invalid_signature: 'signature',
  unknown_key: 'kid',
  invalid_key: 'kid',
  weak_key: 'kid',
  wrong_audience: 'aud',
  replayed_token: 'replayed',
}

/** What is at fault, in the contract's words, for an error of this package about a service token. */
export function serviceTokenReason(error: TokenError): ServiceTokenReason {
  const { code, part } = error
  return reasonOfCode[code] ?? serviceTokenReasons.find((reason) => reason === part) ?? reasonOfPart(part)
}

function reasonOfPart(part: string | undefined): ServiceTokenReason {
  if (part === 'sub') return 'sender'
  if (part === 'nbf') return 'iat'
  return part === 'requestHash' ? 'digest' : 'malformed'
}
