import { createPublicKey, type KeyObject } from 'node:crypto'
import { importPublicJwk } from '@countersign/tokens'
import { DerError, DerReader, readOnly, tags } from '../der/der-reader.ts'
import { readBytesOfBits, readObjectIdentifier } from '../der/read-values.ts'

export type KeyKind = 'EC P-256' | 'EC P-384' | 'EC P-521' | 'RSA' | 'Ed25519'

const curves: ReadonlyMap<string, { readonly kind: KeyKind; readonly pointBytes: number }> = new Map([
  ['1.2.840.10045.3.1.7', { kind: 'EC P-256', pointBytes: 65 }],
  ['1.3.132.0.34', { kind: 'EC P-384', pointBytes: 97 }],
  ['1.3.132.0.35', { kind: 'EC P-521', pointBytes: 133 }],
])

/**
 * The key in a SubjectPublicKeyInfo: EC on P-256, P-384 or P-521 as a named curve (explicit parameters are
 * CVE-2020-0601) and an uncompressed point, RSA of at least 2048 bits, or Ed25519; of these only the `kinds`, where they
 * are given. Throws DerError, and TokenError for weak keys.
 */
export function readPublicKey(spki: Buffer, kinds?: ReadonlySet<KeyKind>): KeyObject {
  const reader = new DerReader(readOnly(spki, tags.sequence, 'the public key').content, 'the public key')
  const algorithm = reader.expect(tags.sequence)
  const bits = readBytesOfBits(reader.expect(tags.bitString))
  reader.end()
  // From the encoding: to ask the loaded key (asymmetricKeyDetails) costs a fifth of a signature's verification.
  const kind = readKind(algorithm.content, bits)
  if (kinds?.has(kind) === false) throw new DerError(`its key is ${kind}; use ${[...kinds].join(', ')}`)
  const key = load(spki)
  // Size and exponent of RSA, faulty RSA keys, points of small order. Of EC keys all is known by now.
  if (key.asymmetricKeyType !== 'ec') importPublicJwk(key.export({ format: 'jwk' }))
  return key
}

/** The bits of the key alone, as key identifiers are made of. */
export function publicKeyBits(spki: Uint8Array): Buffer {
  const reader = new DerReader(readOnly(spki, tags.sequence, 'the public key').content, 'the public key')
  reader.expect(tags.sequence)
  return readBytesOfBits(reader.expect(tags.bitString))
}

function readKind(algorithm: Buffer, bits: Buffer): KeyKind {
  const reader = new DerReader(algorithm, "the public key's algorithm")
  const oid = readObjectIdentifier(reader.expect(tags.objectIdentifier))
  switch (oid) {
    case '1.2.840.10045.2.1': {
      const curve = curves.get(readObjectIdentifier(reader.expect(tags.objectIdentifier)))
      reader.end()
      if (curve === undefined) throw new DerError('the public key is on an unknown curve; use P-256')
      if (bits.length !== curve.pointBytes || bits[0] !== 4)
        throw new DerError('the public key is no uncompressed point')
      return curve.kind
    }
    case '1.2.840.113549.1.1.1':
      if (reader.expect(tags.null).content.length > 0) throw new DerError('a NULL has content')
      reader.end()
      return 'RSA'
    case '1.3.101.112':
      reader.end()
      return 'Ed25519'
    default:
      throw new DerError('the public key is of an unknown type; use EC P-256, RSA or Ed25519')
  }
}

function load(spki: Buffer): KeyObject {
  try {
    return createPublicKey({ key: spki, format: 'der', type: 'spki' })
  } catch {
    throw new DerError('the public key cannot be read, or is not a point of its curve')
  }
}
