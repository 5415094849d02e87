/** What a Countersign server signs with. */
export type SigningAlgorithm = 'ES256' | 'RS256' | 'EdDSA'

/** What a verifier may be configured to accept (RFC 7518 section 3.1, RFC 8037, RFC 9864). Never `none`, never HMAC. */
export type VerificationAlgorithm =
  | SigningAlgorithm
  | 'Ed25519'
  | 'ES384'
  | 'ES512'
  | 'RS384'
  | 'RS512'
  | 'PS256'
  | 'PS384'
  | 'PS512'

export type Curve = 'P-256' | 'P-384' | 'P-521'

export type AlgorithmDetails =
  | { scheme: 'ecdsa'; hash: string; curve: Curve }
  | { scheme: 'rsa-pkcs1'; hash: string }
  | { scheme: 'rsa-pss'; hash: string; saltLength: number }
  | { scheme: 'ed25519' }

/** A Map, because `alg` comes from the token and an object would answer to `constructor`. */
export const algorithmDetails: ReadonlyMap<string, AlgorithmDetails> = new Map<VerificationAlgorithm, AlgorithmDetails>(
  [
    ['ES256', { scheme: 'ecdsa', hash: 'sha256', curve: 'P-256' }],
    ['ES384', { scheme: 'ecdsa', hash: 'sha384', curve: 'P-384' }],
    ['ES512', { scheme: 'ecdsa', hash: 'sha512', curve: 'P-521' }],
    ['RS256', { scheme: 'rsa-pkcs1', hash: 'sha256' }],
    ['RS384', { scheme: 'rsa-pkcs1', hash: 'sha384' }],
    ['RS512', { scheme: 'rsa-pkcs1', hash: 'sha512' }],
    ['PS256', { scheme: 'rsa-pss', hash: 'sha256', saltLength: 32 }],
    ['PS384', { scheme: 'rsa-pss', hash: 'sha384', saltLength: 48 }],
    ['PS512', { scheme: 'rsa-pss', hash: 'sha512', saltLength: 64 }],
    ['EdDSA', { scheme: 'ed25519' }],
    ['Ed25519', { scheme: 'ed25519' }],
  ],
)

/** The algorithms that a key of this kind can be used with. */
export const algorithmsOfKind = {
  RSA: ['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512'],
  'P-256': ['ES256'],
  'P-384': ['ES384'],
  'P-521': ['ES512'],
  Ed25519: ['EdDSA', 'Ed25519'],
} as const satisfies Record<string, readonly VerificationAlgorithm[]>

export type KeyKind = keyof typeof algorithmsOfKind
