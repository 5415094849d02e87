import { isIP } from 'node:net'
import { contextTag, type DerElement, DerError, DerReader, readAll, readOnly, tags } from '../der/der-reader.ts'
import { readIa5Text } from '../der/read-values.ts'
import { quoted } from '../spiffe-error.ts'
import { addressBytes, type GeneralNames, nameTags } from './general-names.ts'

/** What names the certificates below a CA may have (RFC 5280 section 4.2.1.10). */
export interface NameConstraints {
  readonly permitted: readonly NameSubtree[]
  readonly excluded: readonly NameSubtree[]
}

export type NameSubtree =
  | { readonly form: 'uri' | 'dnsName' | 'email'; readonly text: string }
  | { readonly form: 'ipAddress'; readonly address: Buffer; readonly mask: Buffer }
  /** A form of name that is not compared here. */
  | { readonly form: 'other' }

/** Throws DerError. */
export function readNameConstraints(value: Buffer): NameConstraints {
  const what = 'the name constraints'
  const reader = new DerReader(readOnly(value, tags.sequence, what).content, what)
  const permitted = reader.optional(contextTag(0, 'constructed'))
  const excluded = reader.optional(contextTag(1, 'constructed'))
  reader.end()
  if (permitted === undefined && excluded === undefined) throw new DerError('the name constraints are empty')
  return { permitted: readSubtrees(permitted), excluded: readSubtrees(excluded) }
}

/** Why the names of a certificate are not what a CA above it allows, or undefined where they are. */
export function constraintBroken(constraints: NameConstraints, names: GeneralNames): string | undefined {
  const { permitted, excluded } = constraints
  // RFC 5280 section 6.1: what is not understood cannot be said to hold.
  if ([...permitted, ...excluded].some(({ form }) => form === 'other')) {
    return 'a CA above it constrains a form of name that is not supported'
  }
  for (const { form, text } of listNames(names)) {
    const allowed = permitted.filter((subtree) => subtree.form === form)
    if (allowed.length > 0 && !allowed.some((subtree) => isWithin(subtree, text) === 'within')) {
      return `a CA above it does not permit the name ${quoted(text)}`
    }
    if (excluded.some((subtree) => subtree.form === form && isWithin(subtree, text) !== 'outside')) {
      return `a CA above it excludes the name ${quoted(text)}`
    }
  }
  return undefined
}

/** How many pairs of a name and a constraint there are. */
export function comparisons({ permitted, excluded }: NameConstraints, names: GeneralNames): number {
  return (permitted.length + excluded.length) * (1 + listNames(names).length)
}

function readSubtrees(element: DerElement | undefined): NameSubtree[] {
  if (element === undefined) return []
  const subtrees = readAll(element.content, 'the name constraints', 1000).map(readSubtree)
  if (subtrees.length === 0) throw new DerError('the name constraints have an empty list')
  return subtrees
}

function readSubtree({ tag, content }: DerElement): NameSubtree {
  if (tag !== tags.sequence) throw new DerError('the name constraints have a part that is no SEQUENCE')
  const reader = new DerReader(content, 'the name constraints')
  const base = reader.next()
  // Minimum and maximum have no use in this profile (RFC 5280 section 4.2.1.10); the default minimum is not written.
  reader.end()
  switch (base.tag) {
    case nameTags.uri:
      return { form: 'uri', text: readHost(base.content) }
    case nameTags.dnsName:
      return { form: 'dnsName', text: readHost(base.content) }
    case nameTags.email:
      return { form: 'email', text: readIa5Text(base.content) }
    case nameTags.ipAddress:
      return readAddressRange(base.content)
    default:
      return { form: 'other' }
  }
}

function readHost(content: Buffer): string {
  return readIa5Text(content).toLowerCase()
}

function readAddressRange(content: Buffer): NameSubtree {
  if (content.length !== 8 && content.length !== 32)
    throw new DerError('the name constraints have no range of addresses')
  const half = content.length / 2
  return { form: 'ipAddress', address: content.subarray(0, half), mask: content.subarray(half) }
}

function listNames(names: GeneralNames): { form: NameSubtree['form']; text: string }[] {
  return [
    ...names.uris.map((text) => ({ form: 'uri' as const, text })),
    ...names.dnsNames.map((text) => ({ form: 'dnsName' as const, text })),
    ...names.emails.map((text) => ({ form: 'email' as const, text })),
    ...names.ipAddresses.map((text) => ({ form: 'ipAddress' as const, text })),
  ]
}

/** `unknown` for a name that cannot be compared, which is neither permitted nor free of an exclusion. */
type Verdict = 'within' | 'outside' | 'unknown'

function isWithin(subtree: NameSubtree, name: string): Verdict {
  switch (subtree.form) {
    case 'uri':
      return uriWithin(name, subtree.text)
    case 'dnsName':
      return dnsNameWithin(name.toLowerCase(), subtree.text)
    case 'email':
      return emailWithin(name, subtree.text)
    case 'ipAddress':
      return verdict(addressWithin(name, subtree.address, subtree.mask))
    case 'other':
      return 'unknown'
  }
}

function verdict(isInside: boolean): Verdict {
  return isInside ? 'within' : 'outside'
}

/** The host of a URI: exactly the constraint's, or with a leading period any below it. An address has no place here. */
function uriWithin(uri: string, constraint: string): Verdict {
  const host = /^[a-z][a-z0-9+.-]*:\/\/(?:[^/?#@]*@)?([a-z0-9._-]+)(?::\d*)?(?:[/?#]|$)/i.exec(uri)?.[1]?.toLowerCase()
  if (host === undefined || isIP(host) !== 0) return 'unknown'
  return verdict(constraint.startsWith('.') ? host.endsWith(constraint) : host === constraint)
}

/** The constraint's name, or any with labels before it; with a leading period only those. */
function dnsNameWithin(name: string, constraint: string): Verdict {
  const base = constraint.startsWith('.') ? constraint.slice(1) : constraint
  if (constraint === '' || name.endsWith(`.${base}`)) return 'within'
  if (name === base) return verdict(constraint === base)
  // A wildcard also stands for a name that only it shares with the constraint (CVE-2025-61727).
  return name.startsWith('*.') && base.slice(base.indexOf('.') + 1) === name.slice(2) ? 'unknown' : 'outside'
}

/** One mailbox, or all at a host, or with a leading period all at hosts below it. */
function emailWithin(email: string, constraint: string): Verdict {
  const at = email.lastIndexOf('@')
  if (at < 1) return 'unknown'
  const host = email.slice(at + 1).toLowerCase()
  const constraintAt = constraint.lastIndexOf('@')
  if (constraintAt !== -1) {
    const isSameBox = email.slice(0, at) === constraint.slice(0, constraintAt)
    return verdict(isSameBox && host === constraint.slice(constraintAt + 1).toLowerCase())
  }
  const base = constraint.toLowerCase()
  return verdict(base.startsWith('.') ? host.endsWith(base) : host === base)
}

function addressWithin(name: string, address: Buffer, mask: Buffer): boolean {
  const bytes = addressBytes(name)
  return bytes.length === address.length && bytes.every((byte, at) => (byte & mask[at]!) === (address[at]! & mask[at]!))
}
