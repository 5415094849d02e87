import { createPublicKey, type KeyObject } from 'node:crypto'
import { contextTag, tags } from '../der/der-reader.ts'
import { bitString, element, integer, objectIdentifier, sequence } from '../der/write-der.ts'
import { extensionRequestId } from './certificate-request.ts'
import { type Subject, writeSubject } from './distinguished-name.ts'
import { checkNames } from './requested-names.ts'
import { signingWith } from './signature-algorithm.ts'
import { alternativeNames } from './write-extensions.ts'

/**
 * A certificate signing request (PKCS#10, RFC 2986) as DER, signed with the private `key`. Throws
 * `invalid_configuration` for a name that no certificate can have.
 */
export function createCertificateRequest({
  key,
  uris,
  dnsNames,
  ...subject
}: { key: KeyObject; uris?: readonly string[]; dnsNames?: readonly string[] } & Subject): Buffer {
  const names = checkNames({ uris, dnsNames })
  const extensions = alternativeNames(names, false)
  const attribute = sequence(objectIdentifier(extensionRequestId), element(tags.set, sequence(...extensions)))
  const body = sequence(
    integer(Buffer.from([0])),
    writeSubject(subject),
    createPublicKey(key).export({ format: 'der', type: 'spki' }),
    element(contextTag(0, 'constructed'), ...(extensions.length === 0 ? [] : [attribute])),
  )
  const signing = signingWith(key)
  return sequence(body, signing.algorithmDer, bitString(signing.sign(body)))
}
