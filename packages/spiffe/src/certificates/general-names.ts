import { isIP } from 'node:net'
import { contextTag, DerError, readAll } from '../der/der-reader.ts'
import { readIa5Text } from '../der/read-values.ts'
import { element } from '../der/write-der.ts'

/** The names of a subject alternative name extension (RFC 5280 section 4.2.1.6). */
export interface GeneralNames {
  readonly uris: readonly string[]
  readonly dnsNames: readonly string[]
  /** In Node's text form */
  readonly ipAddresses: readonly string[]
  readonly emails: readonly string[]
  /** How many names of other types there are: directory names, Kerberos names, and so on */
  readonly otherNames: number
}

export const noNames: GeneralNames = { uris: [], dnsNames: [], ipAddresses: [], emails: [], otherNames: 0 }

export const nameTags = {
  email: contextTag(1, 'primitive'),
  dnsName: contextTag(2, 'primitive'),
  uri: contextTag(6, 'primitive'),
  ipAddress: contextTag(7, 'primitive'),
} as const

const knownOthers = [0, 3, 4, 5].map((number) => contextTag(number, 'constructed')).concat(contextTag(8, 'primitive'))
const maximumNames = 1000

/** Throws DerError, also where a name has a NUL or other characters that are not printable ASCII. */
export function readGeneralNames(content: Buffer): GeneralNames {
  const names = { uris: [] as string[], dnsNames: [] as string[], ipAddresses: [] as string[], emails: [] as string[] }
  let otherNames = 0
  const elements = readAll(content, 'the alternative names', maximumNames)
  if (elements.length === 0) throw new DerError('the alternative names are empty')
  for (const { tag, content: value } of elements) {
    if (tag === nameTags.uri) names.uris.push(readIa5Text(value))
    else if (tag === nameTags.dnsName) names.dnsNames.push(readIa5Text(value))
    else if (tag === nameTags.email) names.emails.push(readIa5Text(value))
    else if (tag === nameTags.ipAddress) names.ipAddresses.push(formatAddress(value))
    else if (knownOthers.includes(tag)) otherNames += 1
    else throw new DerError('there is an alternative name of an unknown type')
  }
  return { ...names, otherNames }
}

export interface NamesToWrite {
  readonly uris?: readonly string[]
  readonly dnsNames?: readonly string[]
  readonly ipAddresses?: readonly string[]
}

/** The elements of a subject alternative name extension; empty where there are no names. The caller checked them. */
export function writeGeneralNames({ uris = [], dnsNames = [], ipAddresses = [] }: NamesToWrite): Buffer[] {
  return [
    ...uris.map((uri) => element(nameTags.uri, Buffer.from(uri, 'latin1'))),
    ...dnsNames.map((name) => element(nameTags.dnsName, Buffer.from(name, 'latin1'))),
    ...ipAddresses.map((address) => element(nameTags.ipAddress, addressBytes(address))),
  ]
}

function formatAddress(bytes: Buffer): string {
  if (bytes.length === 4) return bytes.join('.')
  if (bytes.length !== 16) throw new DerError('an IP address has neither 4 nor 16 bytes')
  // RFC 5280 section 4.2.1.6: four bytes for IPv4. Written as IPv6 it would pass constraints on IPv4, and be read as IPv4.
  if (isMapped(bytes)) throw new DerError('an IPv4 address is written as one of IPv6')
  const groups = Array.from({ length: 8 }, (_, index) => bytes.readUInt16BE(index * 2).toString(16))
  return compress(groups.join(':'))
}

/** Whether 16 bytes are in `::ffff:0:0/96`. */
function isMapped(bytes: Buffer): boolean {
  return bytes.subarray(0, 12).equals(mappedPrefix)
}

const mappedPrefix = Buffer.from('00000000000000000000ffff', 'hex')

/** The canonical text of RFC 5952, as the platform's own parser gives it. */
function compress(address: string): string {
  return new URL(`http://[${address}]/`).hostname.slice(1, -1)
}

/** The 4 or 16 bytes of an address; 4 also of an IPv4 address that is written as IPv6. Throws RangeError for what is none. */
export function addressBytes(address: string): Buffer {
  const version = isIP(address)
  if (version === 0 || address.includes('%')) throw new RangeError('an IP address is neither IPv4 nor IPv6')
  if (version === 4) return Buffer.from(address.split('.').map(Number))
  const [head, tail] = compress(address).split('::') as [string, string | undefined]
  const left = head === '' ? [] : head.split(':')
  const right = tail === undefined || tail === '' ? [] : tail.split(':')
  const groups = [...left, ...Array<string>(8 - left.length - right.length).fill('0'), ...right]
  const bytes = Buffer.from(
    groups.flatMap((group) => [Number.parseInt(group, 16) >> 8, Number.parseInt(group, 16) & 0xff]),
  )
  return isMapped(bytes) ? bytes.subarray(12) : bytes
}
