import { contextTag, type DerElement, DerError, DerReader, readAll, readOnly, tags } from '../der/der-reader.ts'
import { readBoolean, readNamedBits, readObjectIdentifier, readSmallInteger } from '../der/read-values.ts'
import { type GeneralNames, noNames, readGeneralNames } from './general-names.ts'
import { type NameConstraints, readNameConstraints } from './name-constraints.ts'

/** The flags of RFC 5280 section 4.2.1.3, in the order of their bits. */
export const keyUsages = [
  'digitalSignature',
  'contentCommitment',
  'keyEncipherment',
  'dataEncipherment',
  'keyAgreement',
  'keyCertSign',
  'crlSign',
  'encipherOnly',
  'decipherOnly',
] as const

export type KeyUsage = (typeof keyUsages)[number]

/** `server` and `client` for TLS, `any`, or the dotted OID of another purpose. */
export type ExtendedKeyUsage = 'server' | 'client' | 'any' | (string & {})

export const extendedKeyUsageIds = {
  server: '1.3.6.1.5.5.7.3.1',
  client: '1.3.6.1.5.5.7.3.2',
  any: '2.5.29.37.0',
} as const

export const extensionIds = {
  subjectKeyId: '2.5.29.14',
  keyUsage: '2.5.29.15',
  subjectAlternativeName: '2.5.29.17',
  basicConstraints: '2.5.29.19',
  nameConstraints: '2.5.29.30',
  certificatePolicies: '2.5.29.32',
  authorityKeyId: '2.5.29.35',
  extendedKeyUsage: '2.5.29.37',
} as const

export interface Extensions {
  readonly isCa: boolean
  readonly pathLength?: number
  readonly keyUsage: ReadonlySet<KeyUsage> | undefined
  readonly extendedKeyUsage: ReadonlySet<ExtendedKeyUsage> | undefined
  readonly names: GeneralNames
  /** In lower-case hex */
  readonly subjectKeyId?: string
  readonly authorityKeyId?: string
  readonly nameConstraints?: NameConstraints
  /** The OIDs of the extensions that are marked critical */
  readonly critical: ReadonlySet<string>
  /** Those of them that are not known here */
  readonly unknownCritical: readonly string[]
}

type Mutable<T> = { -readonly [Name in keyof T]: T[Name] }

/** Reads an Extensions SEQUENCE (RFC 5280 section 4.2). Throws DerError, also where an extension is there twice. */
export function readExtensions(content: Buffer): Extensions {
  const elements = readAll(content, 'the extensions', 64)
  if (elements.length === 0) throw new DerError('the extensions are empty')
  const seen = new Set<string>()
  const critical = new Set<string>()
  const found: Mutable<Extensions> = { ...noExtensions, critical, unknownCritical: [] }
  const unknownCritical: string[] = []
  for (const element of elements) {
    const { oid, isCritical, value } = readExtension(element)
    if (seen.has(oid)) throw new DerError(`the extension ${oid} is there twice`)
    seen.add(oid)
    if (isCritical) critical.add(oid)
    const read = readers.get(oid)
    if (read !== undefined) read(value, found)
    else if (isCritical) unknownCritical.push(oid)
  }
  return { ...found, unknownCritical }
}

/** What a certificate without extensions says. */
export const noExtensions: Extensions = {
  isCa: false,
  keyUsage: undefined,
  extendedKeyUsage: undefined,
  names: noNames,
  critical: new Set(),
  unknownCritical: [],
}

function readExtension({ tag, content }: DerElement): { oid: string; isCritical: boolean; value: Buffer } {
  if (tag !== tags.sequence) throw new DerError('there is an extension that is no SEQUENCE')
  const reader = new DerReader(content, 'an extension')
  const oid = readObjectIdentifier(reader.expect(tags.objectIdentifier))
  const flag = reader.optional(tags.boolean)
  const isCritical = flag !== undefined && readBoolean(flag)
  // DER leaves a default out (X.690 section 11.5).
  if (flag !== undefined && !isCritical) throw new DerError(`the extension ${oid} spells out that it is not critical`)
  const value = reader.expect(tags.octetString).content
  reader.end()
  return { oid, isCritical, value }
}

const readers: ReadonlyMap<string, (value: Buffer, found: Mutable<Extensions>) => void> = new Map([
  [extensionIds.basicConstraints, readBasicConstraints],
  [extensionIds.keyUsage, readKeyUsage],
  [extensionIds.extendedKeyUsage, readExtendedKeyUsage],
  [extensionIds.subjectAlternativeName, readAlternativeNames],
  [extensionIds.nameConstraints, readConstraints],
  [extensionIds.subjectKeyId, readSubjectKeyId],
  [extensionIds.authorityKeyId, readAuthorityKeyId],
  // Policies restrict nothing unless a validator asks for some, and nobody does here.
  [extensionIds.certificatePolicies, () => {}],
])

function readBasicConstraints(value: Buffer, found: Mutable<Extensions>): void {
  const reader = new DerReader(readOnly(value, tags.sequence, 'basic constraints').content, 'basic constraints')
  const flag = reader.optional(tags.boolean)
  found.isCa = flag !== undefined && readBoolean(flag)
  if (flag !== undefined && !found.isCa) throw new DerError('basic constraints spell out a default')
  const pathLength = reader.optional(tags.integer)
  reader.end()
  if (pathLength === undefined) return
  if (!found.isCa) throw new DerError('basic constraints limit the path of what is no CA')
  found.pathLength = readSmallInteger(pathLength, 1000)
}

function readKeyUsage(value: Buffer, found: Mutable<Extensions>): void {
  const positions = readNamedBits(readOnly(value, tags.bitString, 'the key usage'))
  if (positions.length === 0) throw new DerError('the key usage is empty')
  found.keyUsage = new Set(positions.flatMap((position) => keyUsages[position] ?? []))
}

function readExtendedKeyUsage(value: Buffer, found: Mutable<Extensions>): void {
  const content = readOnly(value, tags.sequence, 'the extended key usage').content
  const oids = readAll(content, 'the extended key usage', 100).map((element) => {
    if (element.tag !== tags.objectIdentifier) throw new DerError('the extended key usage has what is no OID')
    return readObjectIdentifier(element)
  })
  if (oids.length === 0) throw new DerError('the extended key usage is empty')
  found.extendedKeyUsage = new Set(oids.map((oid) => extendedKeyUsageNames.get(oid) ?? oid))
}

const extendedKeyUsageNames: ReadonlyMap<string, string> = new Map(
  Object.entries(extendedKeyUsageIds).map(([name, oid]) => [oid, name]),
)

function readAlternativeNames(value: Buffer, found: Mutable<Extensions>): void {
  found.names = readGeneralNames(readOnly(value, tags.sequence, 'the alternative names').content)
}

function readConstraints(value: Buffer, found: Mutable<Extensions>): void {
  found.nameConstraints = readNameConstraints(value)
}

function readSubjectKeyId(value: Buffer, found: Mutable<Extensions>): void {
  found.subjectKeyId = readOnly(value, tags.octetString, 'the subject key identifier').content.toString('hex')
}

function readAuthorityKeyId(value: Buffer, found: Mutable<Extensions>): void {
  const what = 'the authority key identifier'
  const reader = new DerReader(readOnly(value, tags.sequence, what).content, what)
  found.authorityKeyId = reader.optional(contextTag(0, 'primitive'))?.content.toString('hex')
  // Issuer and serial number may follow (RFC 5280 section 4.2.1.1). They only help to find the issuer, as the key does.
  reader.optional(contextTag(1, 'constructed'))
  reader.optional(contextTag(2, 'primitive'))
  reader.end()
}
