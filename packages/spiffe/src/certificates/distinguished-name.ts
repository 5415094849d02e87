import { DerError, DerReader, readAll, readOnly, tags } from '../der/der-reader.ts'
import { readObjectIdentifier } from '../der/read-values.ts'
import { element, objectIdentifier, printableString, sequence, utf8String } from '../der/write-der.ts'
import { SpiffeError } from '../spiffe-error.ts'

/** One attribute of a distinguished name. */
export interface NameAttribute {
  /** As dotted OID */
  readonly type: string
  /** Undefined for what is not text. */
  readonly text: string | undefined
  readonly valueDer: Buffer
}

/** A distinguished name: its relative names in the order of the certificate, each with one or more attributes. */
export type DistinguishedName = readonly (readonly NameAttribute[])[]

/** The names of RFC 4514 section 3, and those that OpenSSL prints besides. */
const shortNames: ReadonlyMap<string, string> = new Map([
  ['2.5.4.3', 'CN'],
  ['2.5.4.7', 'L'],
  ['2.5.4.8', 'ST'],
  ['2.5.4.10', 'O'],
  ['2.5.4.11', 'OU'],
  ['2.5.4.6', 'C'],
  ['2.5.4.9', 'STREET'],
  ['0.9.2342.19200300.100.1.25', 'DC'],
  ['0.9.2342.19200300.100.1.1', 'UID'],
  ['1.2.840.113549.1.9.1', 'emailAddress'],
  ['2.5.4.5', 'serialNumber'],
])

/** The type of attribute that a short name stands for, in any case. */
export function oidOfShortName(name: string): string | undefined {
  const wanted = name.toLowerCase()
  for (const [oid, shortName] of shortNames) if (shortName.toLowerCase() === wanted) return oid
  return undefined
}

const maximumRelativeNames = 64

/** Throws DerError. */
export function readDistinguishedName(der: Buffer): DistinguishedName {
  const content = readOnly(der, tags.sequence, 'the name').content
  return readAll(content, 'the name', maximumRelativeNames).map((relative) => {
    if (relative.tag !== tags.set) throw new DerError('the name has a part that is no SET')
    const attributes = readAll(relative.content, 'a part of the name', 16).map(readAttribute)
    if (attributes.length === 0) throw new DerError('the name has an empty part')
    return attributes
  })
}

function readAttribute({ tag, content }: { tag: number; content: Buffer }): NameAttribute {
  if (tag !== tags.sequence) throw new DerError('the name has an attribute that is no SEQUENCE')
  const reader = new DerReader(content, 'an attribute of the name')
  const type = readObjectIdentifier(reader.expect(tags.objectIdentifier))
  const value = reader.next()
  reader.end()
  return { type, text: readText(value.tag, value.content), valueDer: value.whole }
}

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })
const utf16 = new TextDecoder('utf-16be', { fatal: true, ignoreBOM: true })

function readText(tag: number, content: Buffer): string | undefined {
  try {
    switch (tag) {
      case tags.utf8String:
        return utf8.decode(content)
      case tags.printableString:
      case tags.ia5String:
      case tags.teletexString:
        return content.toString('latin1')
      case tags.bmpString:
        return utf16.decode(content)
      default:
        return undefined
    }
  } catch {
    throw new DerError('the name has an attribute whose text is not in its encoding')
  }
}

/** A distinguished name as RFC 4514 writes it: the last part first, `CN=orders,O=Example`. `''` for the empty name. */
export function formatDistinguishedName(name: DistinguishedName): string {
  return name
    .toReversed()
    .map((attributes) => attributes.map(formatAttribute).join('+'))
    .join(',')
}

function formatAttribute({ type, text, valueDer }: NameAttribute): string {
  const shortName = shortNames.get(type)
  // Section 2.4: without a known name, or without text, the value is its DER in hex.
  return shortName === undefined || text === undefined
    ? `${shortName ?? type}=#${valueDer.toString('hex')}`
    : `${shortName}=${escapeText(text)}`
}

function escapeText(text: string): string {
  return text
    .replace(/["+,;<>\\]/g, '\\$&')
    .replace(/^[ #]/, '\\$&')
    .replace(/ $/, '\\ ')
    .replace(/\p{Cc}/gu, (control) => `\\${control.charCodeAt(0).toString(16).padStart(2, '0')}`)
}

/** The parts of a subject that certificates of ours have. */
export interface Subject {
  readonly commonName?: string
  readonly organization?: string
  /** Two letters */
  readonly country?: string
}

/** The DER of a subject, from country to common name. Throws `invalid_configuration` (RFC 5280 appendix A). */
export function writeSubject({ commonName, organization, country }: Subject): Buffer {
  return sequence(
    ...(country === undefined ? [] : [writeAttribute('2.5.4.6', printableString(checkCountry(country)))]),
    ...(organization === undefined ? [] : [writeAttribute('2.5.4.10', utf8String(checkText(organization)))]),
    ...(commonName === undefined ? [] : [writeAttribute('2.5.4.3', utf8String(checkText(commonName)))]),
  )
}

function writeAttribute(type: string, value: Buffer): Buffer {
  return element(tags.set, sequence(objectIdentifier(type), value))
}

function checkCountry(country: string): string {
  if (!/^[A-Z]{2}$/.test(country)) throw invalid('the country of a subject is two capital letters')
  return country
}

function checkText(text: string): string {
  const isFit = text.length >= 1 && text.length <= 64 && text.isWellFormed() && !/\p{Cc}/u.test(text)
  if (!isFit) throw invalid('the parts of a subject have 1 to 64 characters, none of them a control character')
  return text
}

function invalid(message: string): SpiffeError {
  return new SpiffeError('invalid_configuration', message)
}
