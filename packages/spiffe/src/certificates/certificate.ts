import { createHash, type KeyObject } from 'node:crypto'
import { TokenError } from '@countersign/tokens'
import { contextTag, DerError, DerReader, readOnly, tags } from '../der/der-reader.ts'
import { readBytesOfBits, readInteger, readSmallInteger, readTime } from '../der/read-values.ts'
import { SpiffeError } from '../spiffe-error.ts'
import { formatDistinguishedName, readDistinguishedName } from './distinguished-name.ts'
import { type ExtendedKeyUsage, type Extensions, type KeyUsage, noExtensions, readExtensions } from './extensions.ts'
import type { NameConstraints } from './name-constraints.ts'
import { readPublicKey } from './public-key.ts'

/** An X.509 certificate (RFC 5280) as data. Nothing of it is verified: `verifyCertificateChain` does that. */
export interface Certificate {
  readonly der: Buffer
  /** Lower-case hex of whole bytes, as node's `X509Certificate.serialNumber` in lower case */
  readonly serialNumber: string
  /** As RFC 4514 writes it, `''` where the certificate has none */
  readonly subject: string
  readonly subjectDer: Buffer
  readonly issuerDer: Buffer
  /** Seconds since the epoch; both ends are within the validity */
  readonly notBefore: number
  readonly notAfter: number
  readonly publicKey: KeyObject
  /** SubjectPublicKeyInfo */
  readonly publicKeyDer: Buffer
  readonly isCa: boolean
  readonly pathLength?: number
  readonly keyUsage: ReadonlySet<KeyUsage> | undefined
  readonly extendedKeyUsage: ReadonlySet<ExtendedKeyUsage> | undefined
  readonly uris: readonly string[]
  readonly dnsNames: readonly string[]
  readonly ipAddresses: readonly string[]
  readonly emails: readonly string[]
  /** How many alternative names are of other types */
  readonly otherNames: number
  /** Lower-case hex */
  readonly subjectKeyId?: string
  readonly authorityKeyId?: string
  readonly nameConstraints?: NameConstraints
  /** OIDs */
  readonly criticalExtensions: ReadonlySet<string>
  readonly unknownCritical: readonly string[]
  /** What the issuer signed, how, and the signature */
  readonly signed: { readonly message: Buffer; readonly algorithmDer: Buffer; readonly signature: Buffer }
}

const maximumBytes = 65_536

/**
 * Reads one certificate. Throws `invalid_certificate` for all that is not DER, more than 64 KiB, bytes after the end,
 * keys that are weak or of unknown types, repeated extensions, and names with control characters.
 */
export function parseCertificate(der: Uint8Array): Certificate {
  // A copy: it lives long, and its source may be a buffer of the network's pool.
  return reading(() => readCertificate(Buffer.from(der)))
}

/** Reads certificates that stand one after the other, at most `maximum` of them. Throws `invalid_certificate`. */
export function parseCertificates(concatenatedDer: Uint8Array, maximum = 1000): Certificate[] {
  const reader = new DerReader(concatenatedDer, 'the list of certificates')
  return reading(() => {
    const certificates: Certificate[] = []
    while (!reader.isAtEnd) {
      if (certificates.length === maximum) throw new DerError(`there are more than ${maximum} certificates`)
      certificates.push(parseCertificate(reader.next().whole))
    }
    return certificates
  })
}

/** The confirmation of RFC 8705 section 3.1 (`x5t#S256`): SHA-256 of the whole certificate, base64url. */
export function certificateThumbprint(der: Uint8Array): string {
  return createHash('sha256').update(der).digest('base64url')
}

function readCertificate(der: Buffer): Certificate {
  if (der.length > maximumBytes) throw new DerError(`the certificate has more than ${maximumBytes} bytes`)
  const outer = new DerReader(readOnly(der, tags.sequence, 'the certificate').content, 'the certificate')
  const body = outer.expect(tags.sequence)
  const algorithmDer = outer.expect(tags.sequence).whole
  const signature = readBytesOfBits(outer.expect(tags.bitString))
  outer.end()

  const reader = new DerReader(body.content, 'the certificate')
  const version = readVersion(reader)
  const serialNumber = readSerialNumber(readInteger(reader.expect(tags.integer)))
  if (!reader.expect(tags.sequence).whole.equals(algorithmDer)) {
    throw new DerError('the certificate names two signature algorithms')
  }
  const issuerDer = reader.expect(tags.sequence).whole
  readDistinguishedName(issuerDer)
  const validity = readValidity(reader.expect(tags.sequence).content)
  const subjectDer = reader.expect(tags.sequence).whole
  const subject = formatDistinguishedName(readDistinguishedName(subjectDer))
  const publicKeyDer = reader.expect(tags.sequence).whole
  const { names, critical, ...extensions } = readRest(reader, version)
  return Object.freeze({
    der,
    serialNumber,
    subject,
    subjectDer,
    issuerDer,
    ...validity,
    publicKey: readPublicKey(publicKeyDer),
    publicKeyDer,
    ...extensions,
    ...names,
    criticalExtensions: critical,
    signed: { message: body.whole, algorithmDer, signature },
  })
}

/** 1, 2 or 3. Version 1 is a default, which DER leaves out. */
function readVersion(reader: DerReader): number {
  const explicit = reader.optional(contextTag(0, 'constructed'))
  if (explicit === undefined) return 1
  const version = readSmallInteger(readOnly(explicit.content, tags.integer, 'the version'), 2)
  if (version === 0) throw new DerError('the version spells out a default')
  return version + 1
}

/** RFC 5280 section 4.1.2.2: at most 20 bytes, not negative; a zero is tolerated there. */
function readSerialNumber(bytes: Buffer): string {
  if (bytes.length > 21 || bytes[0]! >= 0x80) throw new DerError('the serial number is negative or too long')
  if (bytes.length === 1 && bytes[0] === 0) return '0'
  return bytes.subarray(bytes[0] === 0 ? 1 : 0).toString('hex')
}

function readValidity(content: Buffer): { notBefore: number; notAfter: number } {
  const reader = new DerReader(content, 'the validity')
  const notBefore = readTime(reader.next())
  const notAfter = readTime(reader.next())
  reader.end()
  return { notBefore, notAfter }
}

function readRest(reader: DerReader, version: number): Extensions {
  // Unique identifiers of issuer and subject, which nobody uses (RFC 5280 section 4.1.2.8).
  if (version >= 2) for (const number of [1, 2]) reader.optional(contextTag(number, 'primitive'))
  const explicit = version === 3 ? reader.optional(contextTag(3, 'constructed')) : undefined
  reader.end()
  if (explicit === undefined) return noExtensions
  return readExtensions(readOnly(explicit.content, tags.sequence, 'the extensions').content)
}

function reading<T>(read: () => T): T {
  try {
    return read()
  } catch (error) {
    if (!(error instanceof DerError) && !(error instanceof TokenError)) throw error
    throw new SpiffeError('invalid_certificate', `the certificate is refused: ${error.message}`, { cause: error })
  }
}
