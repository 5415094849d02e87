import { isIP } from 'node:net'
import { normaliseAddress } from '@countersign/limits'
import {
  type Certificate,
  checkDistinguishedName,
  checkSpiffePattern,
  isSystemId,
  matchesDistinguishedName,
  matchesSpiffePattern,
  parseTrustDomain,
  type SpiffeId,
} from '@countersign/spiffe'
import { GuardConfigurationError } from '../guard-error.ts'

/** Who may pass, by SPIFFE ID: everybody else is refused with 403. */
export interface AllowedIds {
  /** Exact, or with `/*` at the end for all that are below, by whole segments. */
  readonly spiffeIds?: readonly string[]
  /** Every workload of these; not their servers and agents, whose IDs are below `/spire`. */
  readonly trustDomains?: readonly string[]
}

/** The same, and by the names of plain certificates, of which one must be here. */
export interface AllowedCallers extends AllowedIds {
  /** As RFC 4514 writes them (`openssl x509 -nameopt RFC2253`): `CN=orders,O=Example`. */
  readonly subjects?: readonly string[]
  readonly dnsNames?: readonly string[]
  readonly ipAddresses?: readonly string[]
  readonly emails?: readonly string[]
  readonly uris?: readonly string[]
}

export interface AllowList {
  allowsId(id: SpiffeId): boolean
  /** The name by which a plain certificate is allowed. */
  allowedName(leaf: Certificate): string | undefined
}

const idMembers = ['spiffeIds', 'trustDomains']
const nameMembers = ['subjects', 'dnsNames', 'ipAddresses', 'emails', 'uris']

/** Throws GuardConfigurationError for a list that is misspelt or lets nobody pass. `option` names it. */
export function createAllowList(allow: AllowedCallers | undefined, option: string, idsOnly = false): AllowList {
  const members = idsOnly ? idMembers : [...idMembers, ...nameMembers]
  checkMembers(allow, members, option)
  const { spiffeIds = [], subjects = [], dnsNames = [], ipAddresses = [], emails = [], uris = [] } = allow
  const trustDomains = orSay(option, () => (allow.trustDomains ?? []).map((name) => parseTrustDomain(name)))
  orSay(option, () => spiffeIds.forEach(checkSpiffePattern))
  orSay(option, () => subjects.forEach(checkDistinguishedName))
  const hosts = dnsNames.map((name) => name.toLowerCase())
  const addresses = ipAddresses.map((address) => readAddress(address, option))
  const id = uris.find((uri) => /^spiffe:/i.test(uri))
  if (id !== undefined) throw unusable(option, `${id} belongs to "spiffeIds"`)

  return {
    allowsId: (id) =>
      (trustDomains.includes(id.trustDomain) && !isSystemId(id)) ||
      spiffeIds.some((pattern) => matchesSpiffePattern(id, pattern)),
    allowedName: (leaf) =>
      leaf.dnsNames.map((name) => name.toLowerCase()).find((name) => hosts.includes(name)) ??
      leaf.ipAddresses.map(normalised).find((address) => addresses.includes(address)) ??
      leaf.emails.find((email) => emails.includes(email)) ??
      leaf.uris.find((uri) => uris.includes(uri)) ??
      subjects.find((subject) => matchesDistinguishedName(leaf.subjectDer, subject)),
  }
}

function checkMembers(
  allow: AllowedCallers | undefined,
  members: readonly string[],
  option: string,
): asserts allow is AllowedCallers {
  if (typeof allow !== 'object' || allow === null) throw unusable(option, `needs ${members.join(', ')}`)
  for (const [name, value] of Object.entries(allow)) {
    if (!members.includes(name)) throw unusable(option, `has ${members.join(', ')}, and no "${name}"`)
    const isList = Array.isArray(value) && value.every((entry) => typeof entry === 'string' && entry !== '')
    if (value !== undefined && !isList) throw unusable(option, `"${name}" must be a list of names`)
  }
  if (Object.values(allow).every((list) => list === undefined || list.length === 0)) {
    throw unusable(option, 'names nobody, so that nobody could pass')
  }
}

function readAddress(text: string, option: string): string {
  const address = isIP(text) === 0 ? undefined : normaliseAddress(text)
  if (address === undefined) throw unusable(option, `"${text}" is no IP address`)
  return address
}

function normalised(address: string): string {
  return normaliseAddress(address) ?? address
}

function orSay<T>(option: string, read: () => T): T {
  try {
    return read()
  } catch (error) {
    throw unusable(option, (error as Error).message)
  }
}

function unusable(option: string, message: string): GuardConfigurationError {
  return new GuardConfigurationError(`${option}: ${message}`)
}
