import { createPublicKey, generateKeyPairSync, type KeyObject } from 'node:crypto'
import { contextTag } from '../der/der-reader.ts'
import {
  bitString,
  boolean,
  element,
  integer,
  objectIdentifier,
  octetString,
  sequence,
  time,
} from '../der/write-der.ts'
import { type Certificate, parseCertificate } from './certificate.ts'
import { writeSubject } from './distinguished-name.ts'
import { signingWith } from './signature-algorithm.ts'
import { alternativeNames, basicConstraints, extendedKeyUsage, keyUsage } from './write-extensions.ts'

/** A moment within the validity of what is forged here: 2027-01-15T08:00:00Z */
export const now = 1_800_000_000

export interface Forged {
  certificate: Certificate
  key: KeyObject
}

export interface ForgeOptions {
  /** Common name; none unless given */
  name?: string
  issuer?: Forged
  key?: KeyObject
  notBefore?: number
  notAfter?: number
  extensions?: readonly Buffer[]
}

/** A certificate with exactly these extensions, well signed, whether anybody should sign it or not. */
export function forge(options: ForgeOptions): Forged {
  const key = options.key ?? newKey()
  return { certificate: parseCertificate(forgeDer({ ...options, key })), key }
}

/** As `forge`, for what our parser refuses. `rewrite` changes the parts that are about to be signed. */
export function forgeDer(
  { name, issuer, key = newKey(), notBefore = now - 1000, notAfter = now + 1000, extensions = [] }: ForgeOptions,
  rewrite: (parts: Buffer[]) => Buffer[] = (parts) => parts,
): Buffer {
  const signing = signingWith(issuer?.key ?? key)
  const subject = writeSubject({ commonName: name })
  const parts = [
    element(contextTag(0, 'constructed'), integer(Buffer.from([2]))),
    integer(Buffer.from([serial++])),
    signing.algorithmDer,
    issuer?.certificate.subjectDer ?? subject,
    sequence(time(notBefore), time(notAfter)),
    subject,
    createPublicKey(key).export({ format: 'der', type: 'spki' }),
    ...(extensions.length === 0 ? [] : [element(contextTag(3, 'constructed'), sequence(...extensions))]),
  ]
  const body = sequence(...rewrite(parts))
  return sequence(body, signing.algorithmDer, bitString(signing.sign(body)))
}

let serial = 1

export function forgeCa(name: string, options: Omit<ForgeOptions, 'name'> & { pathLength?: number } = {}): Forged {
  const { pathLength, extensions = [], ...rest } = options
  return forge({
    name,
    ...rest,
    extensions: [basicConstraints(true, pathLength), keyUsage('keyCertSign'), ...extensions],
  })
}

/** The extensions of a good leaf with one ID. */
export function leafExtensions(...uris: string[]): Buffer[] {
  return [
    basicConstraints(false),
    keyUsage('digitalSignature'),
    extendedKeyUsage(['server', 'client']),
    ...alternativeNames({ uris }, true),
  ]
}

export function forgeLeaf(issuer: Forged, uri = 'spiffe://example.org/orders', options: ForgeOptions = {}): Forged {
  return forge({ issuer, extensions: leafExtensions(uri), ...options })
}

/** Any extension. */
export function extension(oid: string, value: Buffer, isCritical = false): Buffer {
  return sequence(objectIdentifier(oid), ...(isCritical ? [boolean(true)] : []), octetString(value))
}

export function newKey(): KeyObject {
  return generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey
}
