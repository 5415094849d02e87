import { constants, type KeyObject, verify } from 'node:crypto'
import { type AlgorithmDetails, algorithmDetails, type VerificationAlgorithm } from '../algorithms.ts'
import type { VerificationKey } from '../keys/public-jwk.ts'
import { quoted, TokenError } from '../token-error.ts'
import { toDer } from './ecdsa-signature.ts'
import type { JwsParts } from './parse-jwt.ts'

/**
 * Checks the signature of a parsed token. `allowed` comes from configuration: the token's `alg` must be in it and among
 * the key's algorithms. Throws `unsupported_algorithm` or `invalid_signature` (RFC 7515 section 5.2, RFC 8725 section 3.1).
 */
export function verifySignature(
  parsed: Pick<JwsParts, 'header' | 'signingInput' | 'signature'>,
  key: VerificationKey,
  allowed: readonly VerificationAlgorithm[],
): void {
  const algorithm = parsed.header.alg as VerificationAlgorithm
  const details = algorithmDetails.get(algorithm)
  if (details === undefined || !allowed.includes(algorithm)) {
    throw new TokenError('unsupported_algorithm', `algorithm ${quoted(algorithm)} is not allowed here`, 'alg')
  }
  if (!key.algorithms.includes(algorithm)) {
    throw new TokenError('unsupported_algorithm', `the key is not for algorithm ${quoted(algorithm)}`, 'alg')
  }
  if (!isValid(details, parsed.signingInput, key.key, parsed.signature)) {
    throw new TokenError('invalid_signature', 'the signature does not verify')
  }
}

function isValid(details: AlgorithmDetails, input: Buffer, key: KeyObject, signature: Buffer): boolean {
  switch (details.scheme) {
    case 'ecdsa': {
      const der = toDer(signature, details.curve)
      return der !== undefined && verify(details.hash, input, key, der)
    }
    case 'ed25519':
      return signature.length === 64 && verify(null, input, key, signature)
    case 'rsa-pkcs1':
      return verify(details.hash, input, key, signature)
    case 'rsa-pss': {
      const padding = constants.RSA_PKCS1_PSS_PADDING
      return verify(details.hash, input, { key, padding, saltLength: details.saltLength }, signature)
    }
  }
}
