import { constants, type KeyObject, sign, verify } from 'node:crypto'
import { sequence as der, objectIdentifier } from '../der/write-der.ts'
import { SpiffeError } from '../spiffe-error.ts'

interface SignatureAlgorithm {
  readonly keyType: 'ec' | 'rsa' | 'ed25519'
  /** null where the signature scheme has its own hash. */
  readonly hash: 'sha256' | 'sha384' | 'sha512' | null
  readonly padding?: number
  readonly saltLength?: number
}

const asn1Null = Buffer.from([0x05, 0x00])

/** A whole AlgorithmIdentifier in hex, so that parameters are compared with it (RFC 5758, RFC 4055, RFC 8410). */
const algorithms: ReadonlyMap<string, SignatureAlgorithm> = new Map<string, SignatureAlgorithm>([
  [identifier('1.2.840.10045.4.3.2'), { keyType: 'ec', hash: 'sha256' }],
  [identifier('1.2.840.10045.4.3.3'), { keyType: 'ec', hash: 'sha384' }],
  [identifier('1.2.840.10045.4.3.4'), { keyType: 'ec', hash: 'sha512' }],
  [identifier('1.2.840.113549.1.1.11', asn1Null), { keyType: 'rsa', hash: 'sha256' }],
  [identifier('1.2.840.113549.1.1.12', asn1Null), { keyType: 'rsa', hash: 'sha384' }],
  [identifier('1.2.840.113549.1.1.13', asn1Null), { keyType: 'rsa', hash: 'sha512' }],
  [identifier('1.3.101.112'), { keyType: 'ed25519', hash: null }],
  ...pssAlgorithms(),
])

/**
 * Whether `signature` over `message` was made by the owner of `key` with the algorithm of an AlgorithmIdentifier. False
 * for SHA-1, MD5 and all else that is not known, and for an algorithm of another kind of key.
 */
export function isSignedBy(key: KeyObject, algorithmDer: Buffer, message: Buffer, signature: Buffer): boolean {
  const algorithm = algorithms.get(algorithmDer.toString('hex'))
  if (algorithm === undefined || algorithm.keyType !== key.asymmetricKeyType) return false
  const { hash, padding, saltLength } = algorithm
  try {
    return verify(hash, message, padding === undefined ? key : { key, padding, saltLength }, signature)
  } catch {
    return false
  }
}

export interface Signing {
  /** The AlgorithmIdentifier that certificates name. */
  readonly algorithmDer: Buffer
  sign(message: Buffer): Buffer
}

/** How a private key signs certificates: ECDSA with the hash of the curve's strength, or RSA with SHA-256. */
export function signingWith(key: KeyObject): Signing {
  if (key.type !== 'private') throw invalidKey('certificates are signed with a private key')
  const [hash, algorithmHex] = signingAlgorithm(key)
  return { algorithmDer: Buffer.from(algorithmHex, 'hex'), sign: (message) => sign(hash, message, key) }
}

function signingAlgorithm(key: KeyObject): [string | null, string] {
  switch (key.asymmetricKeyDetails?.namedCurve ?? key.asymmetricKeyType) {
    case 'prime256v1':
      return ['sha256', identifier('1.2.840.10045.4.3.2')]
    case 'secp384r1':
      return ['sha384', identifier('1.2.840.10045.4.3.3')]
    case 'secp521r1':
      return ['sha512', identifier('1.2.840.10045.4.3.4')]
    case 'rsa':
      return ['sha256', identifier('1.2.840.113549.1.1.11', asn1Null)]
    case 'ed25519':
      return [null, identifier('1.3.101.112')]
    default:
      throw invalidKey('the key cannot sign certificates; use EC P-256, P-384 or P-521, RSA or Ed25519')
  }
}

function invalidKey(message: string): SpiffeError {
  return new SpiffeError('invalid_configuration', message)
}

function identifier(oid: string, ...parameters: Buffer[]): string {
  return der(objectIdentifier(oid), ...parameters).toString('hex')
}

/** RSASSA-PSS with the same hash in MGF1 and a salt of the hash's length (RFC 4055 section 3.1). */
function pssAlgorithms(): [string, SignatureAlgorithm][] {
  const variants = [
    ['sha256', '2.16.840.1.101.3.4.2.1', 32],
    ['sha384', '2.16.840.1.101.3.4.2.2', 48],
    ['sha512', '2.16.840.1.101.3.4.2.3', 64],
  ] as const
  return variants.flatMap(([hash, hashOid, saltLength]) =>
    // The hash's own NULL parameters may be there or not (RFC 4055 section 2.1).
    [[asn1Null], []].map((parameters): [string, SignatureAlgorithm] => [
      pssIdentifier(der(objectIdentifier(hashOid), ...parameters), saltLength),
      { keyType: 'rsa', hash, padding: constants.RSA_PKCS1_PSS_PADDING, saltLength },
    ]),
  )
}

function pssIdentifier(hashIdentifier: Buffer, saltLength: number): string {
  const mask = der(objectIdentifier('1.2.840.113549.1.1.8'), hashIdentifier)
  const parameters = der(
    Buffer.concat([Buffer.from([0xa0, hashIdentifier.length]), hashIdentifier]),
    Buffer.concat([Buffer.from([0xa1, mask.length]), mask]),
    Buffer.from([0xa2, 3, 2, 1, saltLength]),
  )
  return identifier('1.2.840.113549.1.1.10', parameters)
}
