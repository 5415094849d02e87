import { TokenError, type TokenErrorCode } from '@countersign/tokens'
import { KeysUnavailable } from './access-token.ts'
import type { GuardErrorCode } from './guard-error.ts'

/** A refusal before it knows its realm and the scopes of its route. */
export interface Refusal {
  readonly code: GuardErrorCode
  readonly reason: string
  readonly message: string
  readonly retryAfterSeconds?: number
  readonly cause?: unknown
}

/** A refusal on its way up. */
export class Refused extends Error {
  readonly refusal: Refusal

  constructor(refusal: Refusal) {
    super(refusal.message)
    this.refusal = refusal
  }
}

/**
 * What to answer when verifying threw. The sentences are ours alone: what the token or the thrown error said is never
 * repeated, so that neither a header nor an internal can be smuggled out through a refusal.
 */
export function refusalOf(error: unknown): Refusal {
  if (error instanceof Refused) return error.refusal
  if (error instanceof TokenError) {
    if (error.code === 'invalid_claim' && error.part === 'cnf') return proofRequired
    return { code: 'invalid_token', reason: error.code, message: sentenceOf(error), cause: error }
  }
  if (error instanceof KeysUnavailable) return { ...keysUnavailable, cause: error.cause }
  return { ...verificationFailed, cause: error }
}

export const revokedToken: Refusal = {
  code: 'invalid_token',
  reason: 'revoked_token',
  message: 'The access token was revoked; get a new one.',
}

export const revocationsUnknown: Refusal = {
  code: 'unavailable',
  reason: 'revocations_unknown',
  message: 'Which tokens are revoked is not known at the moment; try again shortly.',
  retryAfterSeconds: 5,
}

export const proofRequired: Refusal = {
  code: 'invalid_token',
  reason: 'proof_required',
  message: 'The access token is bound to a key, and the request does not prove that key.',
}

const keysUnavailable: Refusal = {
  code: 'unavailable',
  reason: 'keys_unavailable',
  message: 'The keys of the issuer cannot be had at the moment; try again shortly.',
  retryAfterSeconds: 10,
}

const verificationFailed: Refusal = {
  code: 'unavailable',
  reason: 'verification_failed',
  message: 'The credential could not be checked; try again shortly.',
  retryAfterSeconds: 5,
}

function sentenceOf(error: TokenError): string {
  const part = error.part !== undefined && knownParts.has(error.part) ? ` (${error.part})` : ''
  const sentence = sentences[error.code]
  return sentence === undefined ? 'The access token is not valid.' : sentence.replace('%', part)
}

const knownParts = new Set([
  'alg',
  'typ',
  'kid',
  'crit',
  'b64',
  'iss',
  'sub',
  'client_id',
  'aud',
  'scope',
  'iat',
  'nbf',
  'exp',
  'jti',
  'cnf',
])

const sentences: Partial<Record<TokenErrorCode, string>> = {
  malformed_token: 'The access token is not a well-formed JWT%.',
  malformed_json: 'The access token is not a well-formed JWT.',
  invalid_signature: 'The signature of the access token does not hold.',
  unknown_key: 'The access token is signed with a key that its issuer does not publish.',
  unsupported_algorithm: 'The access token is signed with an algorithm that is not accepted here.',
  wrong_type: 'The token is not an access token: its typ must be at+jwt.',
  expired_token: 'The access token has expired; get a new one.',
  token_not_yet_valid: 'The access token is not valid yet; compare the clocks of issuer and receiver.',
  wrong_issuer: 'The access token was made by an issuer that is not trusted here.',
  wrong_audience: 'The access token was made for another audience.',
  invalid_claim: 'The access token has a claim that is missing or not allowed%.',
}
