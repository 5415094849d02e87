import type { KeyObject } from 'node:crypto'
import { TokenError } from '@countersign/tokens'
import { contextTag, type DerElement, DerError, DerReader, readAll, readOnly, tags } from '../der/der-reader.ts'
import { readBytesOfBits, readObjectIdentifier, readSmallInteger } from '../der/read-values.ts'
import { SpiffeError } from '../spiffe-error.ts'
import { formatDistinguishedName, readDistinguishedName } from './distinguished-name.ts'
import { type Extensions, noExtensions, readExtensions } from './extensions.ts'
import { type KeyKind, readPublicKey } from './public-key.ts'
import { isSignedBy } from './signature-algorithm.ts'

/**
 * What a certificate signing request asks for (PKCS#10, RFC 2986). An issuer decides by itself what it grants of it.
 */
export interface CertificateRequest {
  readonly publicKey: KeyObject
  /** SubjectPublicKeyInfo */
  readonly publicKeyDer: Buffer
  /** As RFC 4514 writes it */
  readonly subject: string
  readonly uris: readonly string[]
  readonly dnsNames: readonly string[]
  readonly ipAddresses: readonly string[]
}

const maximumBytes = 65_536
const requestableKinds: ReadonlySet<KeyKind> = new Set(['EC P-256', 'EC P-384', 'RSA'])
export const extensionRequestId = '1.2.840.113549.1.9.14'

/**
 * Reads a request of DER and checks that its sender owns the key. Keys are EC P-256 or P-384, or RSA of 2048 bits and
 * more. Throws `invalid_csr`. `checkSignature: false` is for requests whose sender proved the key otherwise.
 */
export function parseCertificateRequest(
  der: Uint8Array,
  { checkSignature = true }: { checkSignature?: boolean } = {},
): CertificateRequest {
  try {
    return readRequest(Buffer.from(der), checkSignature)
  } catch (error) {
    if (!(error instanceof DerError) && !(error instanceof TokenError)) throw error
    throw new SpiffeError('invalid_csr', `the certificate request is refused: ${error.message}`, { cause: error })
  }
}

function readRequest(der: Buffer, checkSignature: boolean): CertificateRequest {
  if (der.length > maximumBytes) throw new DerError(`it has more than ${maximumBytes} bytes`)
  const outer = new DerReader(readOnly(der, tags.sequence, 'the request').content, 'the request')
  const body = outer.expect(tags.sequence)
  const algorithm = outer.expect(tags.sequence)
  const signature = readBytesOfBits(outer.expect(tags.bitString))
  outer.end()

  const reader = new DerReader(body.content, 'the request')
  readSmallInteger(reader.expect(tags.integer), 0)
  const subject = formatDistinguishedName(readDistinguishedName(reader.expect(tags.sequence).whole))
  const publicKeyDer = reader.expect(tags.sequence).whole
  const publicKey = readPublicKey(publicKeyDer, requestableKinds)
  const { names } = readAttributes(reader.optional(contextTag(0, 'constructed')))
  reader.end()
  if (checkSignature && !isSignedBy(publicKey, algorithm.whole, body.whole, signature)) {
    throw new DerError('its signature does not verify with its own key')
  }
  const { uris, dnsNames, ipAddresses } = names
  return { publicKey, publicKeyDer, subject, uris, dnsNames, ipAddresses }
}

/** The extensions that are asked for; other attributes, such as a challenge password, have no meaning here. */
function readAttributes(attributes: DerElement | undefined): Extensions {
  if (attributes === undefined) return noExtensions
  let found: Extensions | undefined
  for (const { tag, content } of readAll(attributes.content, 'the attributes', 32)) {
    if (tag !== tags.sequence) throw new DerError('an attribute is no SEQUENCE')
    const reader = new DerReader(content, 'an attribute')
    const type = readObjectIdentifier(reader.expect(tags.objectIdentifier))
    const values = reader.expect(tags.set).content
    reader.end()
    if (type !== extensionRequestId) continue
    if (found !== undefined) throw new DerError('extensions are requested twice')
    found = readExtensions(readOnly(values, tags.sequence, 'the requested extensions').content)
  }
  return found ?? noExtensions
}
