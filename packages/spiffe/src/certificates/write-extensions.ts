import { hash } from 'node:crypto'
import { contextTag } from '../der/der-reader.ts'
import { boolean, element, integer, namedBits, objectIdentifier, octetString, sequence } from '../der/write-der.ts'
import { extendedKeyUsageIds, extensionIds, type KeyUsage, keyUsages } from './extensions.ts'
import { type NamesToWrite, writeGeneralNames } from './general-names.ts'
import { publicKeyBits } from './public-key.ts'

/**
 * Subject alternative names, or nothing where there are none. Critical where there is no subject (RFC 5280 section
 * 4.1.2.6).
 */
export function alternativeNames(names: NamesToWrite, isCritical: boolean): Buffer[] {
  const written = writeGeneralNames(names)
  return written.length === 0 ? [] : [extension('subjectAlternativeName', isCritical, sequence(...written))]
}

export function basicConstraints(isCa: boolean, pathLength?: number): Buffer {
  const limit = pathLength === undefined ? [] : [integer(Buffer.from([pathLength]))]
  return extension('basicConstraints', true, isCa ? sequence(boolean(true), ...limit) : sequence())
}

export function keyUsage(...usages: readonly KeyUsage[]): Buffer {
  return extension('keyUsage', true, namedBits(usages.map((usage) => keyUsages.indexOf(usage))))
}

export function extendedKeyUsage(usages: readonly ('server' | 'client')[]): Buffer {
  const oids = usages.map((usage) => objectIdentifier(extendedKeyUsageIds[usage]))
  return extension('extendedKeyUsage', false, sequence(...oids))
}

export function subjectKeyIdentifier(publicKeyDer: Uint8Array): Buffer {
  return extension('subjectKeyId', false, octetString(keyIdentifier(publicKeyDer)))
}

/** Names the issuer's key as the issuer's own certificate does. */
export function authorityKeyIdentifier(issuer: { subjectKeyId?: string; publicKeyDer: Uint8Array }): Buffer {
  const { subjectKeyId, publicKeyDer } = issuer
  const keyId = subjectKeyId === undefined ? keyIdentifier(publicKeyDer) : Buffer.from(subjectKeyId, 'hex')
  return extension('authorityKeyId', false, sequence(element(contextTag(0, 'primitive'), keyId)))
}

/** The leftmost 160 bits of the SHA-256 of the key's bits (RFC 7093 section 2, method 1). */
function keyIdentifier(publicKeyDer: Uint8Array): Buffer {
  return hash('sha256', publicKeyBits(publicKeyDer), 'buffer').subarray(0, 20)
}

function extension(name: keyof typeof extensionIds, isCritical: boolean, value: Buffer): Buffer {
  const oid = writtenIds[name]
  return isCritical ? sequence(oid, isTrue, octetString(value)) : sequence(oid, octetString(value))
}

const isTrue = boolean(true)

const writtenIds = Object.fromEntries(
  Object.entries(extensionIds).map(([name, oid]) => [name, objectIdentifier(oid)]),
) as Record<keyof typeof extensionIds, Buffer>
