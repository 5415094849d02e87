import { expect, it } from 'vitest'
import { TokenError, type TokenErrorCode } from '../token-error.ts'
import { serviceTokenReason } from './service-token-reason.ts'

it.each<[TokenErrorCode, string | undefined, string]>([
  ['binding_mismatch', 'method', 'method'],
  ['binding_mismatch', 'target', 'target'],
  ['binding_mismatch', 'digest', 'digest'],
  ['binding_mismatch', 'topic', 'topic'],
  ['binding_mismatch', 'key', 'key'],
  ['binding_mismatch', 'req', 'req'],
  ['wrong_audience', 'aud', 'aud'],
  ['wrong_type', 'typ', 'typ'],
  ['unsupported_algorithm', 'alg', 'alg'],
  ['unknown_key', 'kid', 'kid'],
  ['unknown_key', undefined, 'kid'],
  ['invalid_key', 'x', 'kid'],
  ['weak_key', 'x', 'kid'],
  ['invalid_claim', 'jti', 'jti'],
  ['invalid_claim', 'iat', 'iat'],
  ['invalid_claim', 'nbf', 'iat'],
  ['invalid_claim', 'exp', 'exp'],
  ['invalid_claim', 'sender', 'sender'],
  ['invalid_claim', 'tenant', 'tenant'],
  ['invalid_claim', 'requestHash', 'digest'],
  ['wrong_issuer', 'iss', 'iss'],
  ['wrong_issuer', 'sub', 'sender'],
  ['expired_token', 'exp', 'expired'],
  ['token_not_yet_valid', 'iat', 'iat'],
  ['token_not_yet_valid', 'nbf', 'iat'],
  ['invalid_signature', undefined, 'signature'],
  ['replayed_token', 'jti', 'replayed'],
  ['malformed_token', undefined, 'malformed'],
  ['malformed_token', 'crit', 'malformed'],
  ['malformed_token', 'kid', 'kid'],
  ['malformed_json', undefined, 'malformed'],
])('says of %s/%s that %s is at fault', (code, part, reason) => {
  expect(serviceTokenReason(new TokenError(code, 'why', part))).toBe(reason)
})
